import gc

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
