"""How a command's process ends while a library's thread still wants something of Python."""

import subprocess
import sys

WANTING = """
import atexit, io, sys, threading, time
import pyarrow as pa
import pyarrow.parquet as pq
from qibox.cli import main as commands
from qibox.cli.__main__ import main

class Slow(io.BytesIO):
    def read(self, size=-1):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.5)  # Arrow's thread comes back when the command is done
        return super().read(size)

class Late:
    def __del__(self, sleep=time.sleep):  # while the interpreter is taken apart
        sleep(1.5)

def command():
    written = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), written)
    file = pq.ParquetFile(Slow(written.getvalue()))
    threading.Thread(target=file.read, daemon=True).start()
    time.sleep(0.1)
    sys.late = Late()
    atexit.register(print, "tidied")
    sys.exit(3)

commands.main = command
main()
"""


def test_a_thread_that_wants_python_at_the_end_does_not_abort_it() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", WANTING], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "tidied\n", "")
