"""Where a selection comes from: selection.yaml, written last, so that it marks a whole selection.

Holds everything that determines the rows, and no path of this machine.
"""

from importlib.metadata import version
from typing import Any

from qibox.run.directory import Run
from qibox.run.units import digest
from qibox.selection.choose import Choice

PACKAGES = ("qibox", "duckdb", "pyarrow")
FORMAT = 1  # raised when the same choice comes to be written otherwise


def lineage(run: Run, choice: Choice) -> dict[str, Any]:
    """Everything that determines the selection's files, and the versions, for the record."""
    request, index = choice.request, run.pool_index()
    assert index is not None, "a scored run has an index"
    return {
        "name": request.name,
        "format": FORMAT,
        "run": digest(run.manifest.model_dump(mode="json", exclude={"versions"})),
        "judge": run.manifest.judges[0].name,
        "prompt": run.manifest.panel.prompt,
        "box": request.box.model_dump(mode="json") if request.box else None,
        "random": request.random,
        "within": request.within,
        "seed": request.seed,
        "edges": [
            {
                "stratum": stratum.stratum,
                "q_low": stratum.box.q_low,
                "q_high": stratum.box.q_high,
                "u_min": stratum.box.u_min,
                "scored": stratum.scored,
                "passed": choice.by_stratum[stratum.stratum][0],
                "chosen": choice.by_stratum[stratum.stratum][1],
            }
            for stratum in choice.boxes
        ],
        "samples": choice.samples,
        "scored": choice.scored,
        "passed": choice.passed,
        "chosen": len(choice.chosen),
        "chosen_sha256": digest(choice.chosen.to_pylist()),
        "scores": [unit.key for unit in run.scores_units(index.shards())],
        "versions": {name: version(name) for name in PACKAGES},
    }


def differences(there: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Names of the fields in which two lineages differ, versions apart."""
    names = {*there, *wanted} - {"versions"}
    return sorted(name for name in names if there.get(name) != wanted.get(name))
