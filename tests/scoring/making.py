"""A small panel, and the manifest of a run with it; nothing of either is there to be loaded."""

from typing import Any

from qibox.manifests import PanelManifest, PoolManifest
from qibox.run.directory import RunManifest
from tests.recordings import HASH

POOL = PoolManifest(name="mini", about="", format="mini")


def panel(**changes: Any) -> PanelManifest:
    fields = {
        "name": "p",
        "about": "",
        "models": {"a": {"source": "x"}, "b": {"source": "y"}, "c": {"source": "z"}},
        "sampling": {"samples": 5},
        "min_models": 3,
        "min_responses": 3,
    }
    return PanelManifest.model_validate({**fields, **changes})


def manifest(pool: PoolManifest = POOL, judges: Any = (HASH,), **changes: Any) -> RunManifest:
    return RunManifest(pool=pool, panel=panel(**changes), judges=judges)
