import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tinymodel, faulty, server


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tinymodel

    return tinymodel.make(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(autouse=True)
def no_idle_children() -> Iterator[None]:
    from qibox.engines.process.parent import end_idle_children

    yield
    end_idle_children()
