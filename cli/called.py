"""How a person calls this program where they are, so that a line can be pasted as it stands."""

import os
import shutil
import sys
from pathlib import Path


def called() -> str:
    """What the shell calls this program: by its name where that is on the PATH, else by its path.

    An environment that was built and not activated has it in a folder of its own.
    """
    own = Path(sys.executable).with_name("qibox")
    found = shutil.which("qibox")
    if not own.exists() or (found is not None and Path(found).resolve() == own.resolve()):
        return "qibox"
    near = os.path.relpath(own)
    return str(own) if near.startswith("..") else near
