"""Where the console script and ``python -m qibox.cli`` begin: Ctrl-C is heard from here on.

Nothing is imported before that takes time. What is left without a sentence is the interpreter's own
start, some hundredths of a second.
"""

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)  # until qibox.stopping hears it
    from qibox import stopping
    from qibox.cli.main import main

    try:
        main()
    except SystemExit as end:
        # Threads that libraries leave waiting would be ended in the middle of C++, which aborts the
        # process, if one wanted Python's lock while the interpreter is taken apart.
        stopping.leave(end.code if isinstance(end.code, int) else int(end.code is not None))


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Nothing is at work yet that would have to end."""
    os.write(2, b"\nStopped by Ctrl-C: nothing was begun\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
