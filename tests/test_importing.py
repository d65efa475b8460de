import gc
import subprocess
import sys

import pytest

from qibox.importing import importing


def import_nothing() -> None:
    with importing():
        assert not gc.isenabled()
        raise ImportError


@pytest.mark.parametrize("before", [True, False])
def test_garbage_is_collected_afterwards_as_before(before: bool) -> None:
    collects = gc.isenabled()
    try:
        (gc.enable if before else gc.disable)()
        with pytest.raises(ImportError):
            import_nothing()
        assert gc.isenabled() is before
    finally:
        (gc.enable if collects else gc.disable)()


def test_arrow_knows_pandas_after_it_worked_without_it() -> None:
    code = """
import sys
from qibox.importing import pandas_later
import pyarrow as pa
with pandas_later():
    pa.array([1, 2])
    assert "pandas" not in sys.modules
import pandas as pd
missing = pa.array(pd.Series([1.0, float("nan")])).null_count
assert missing == 1, missing  # a plain sequence's NaN is no NULL
with pandas_later():
    pd.Series([1])
assert not [each for each in sys.meta_path if type(each).__name__ == "Withheld"]
"""
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_what_fails_without_pandas_leaves_nothing_behind() -> None:
    code = """
import sys
from qibox.importing import pandas_later
try:
    with pandas_later():
        import pandas
except ModuleNotFoundError as error:
    assert error.name == "pandas"
else:
    raise AssertionError("imported")
import pandas
"""
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
