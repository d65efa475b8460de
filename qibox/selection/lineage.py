"""Where a selection comes from: selection.yaml, written last, so that it marks a whole selection.

Holds everything that determines the rows, and no path of this machine.
"""

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from qibox.fields import Deciding, Prose, changed, identity
from qibox.manifests.box import BoxManifest
from qibox.run.directory import Run
from qibox.run.units import digest
from qibox.selection.choose import Choice
from qibox.selection.frame import Frame

PACKAGES = ("qibox", "duckdb", "pyarrow")
FORMAT = 1  # raised when the same choice comes to be written otherwise


def lineage(run: Run, choice: Choice) -> dict[str, Any]:
    """Everything that determines the selection's files, and the versions, for the record."""
    request, index = choice.request, run.pool_index()
    assert index is not None, "a scored run has an index"
    framed = _frame(request.frame, choice) if request.frame else {}
    steered = {name: value for name, value in _steering(choice).items() if value is not None}
    return {
        "name": request.name,
        "format": FORMAT,
        "run": digest(identity(run.manifest)),
        "judge": run.manifest.judges[0].name,
        "prompt": run.manifest.panel.prompt,
        **({"system": system} if (system := run.manifest.panel.system) else {}),
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
        **framed,
        **steered,
        "samples": choice.samples,
        "scored": choice.scored,
        "passed": choice.passed,
        "chosen": len(choice.chosen),
        "chosen_sha256": digest(choice.chosen.to_pylist()),
        "scores": [unit.key for unit in run.scores_units(index.shards())],
        "versions": {name: version(name) for name in PACKAGES},
    }


def _frame(frame: Frame, choice: Choice) -> dict[str, Any]:
    """What a frame adds; a selection without one has none of these fields."""
    columns = frame.stratify
    return {
        "size": choice.request.size or choice.request.random,
        "stratify": list(columns),
        "quota": {
            column: dict(quota) if isinstance(quota, dict) else quota
            for column, quota in frame.quotas().items()
        },
        "strata": [
            {
                **dict(zip(columns, row.values, strict=True)),
                "pool": row.pool,
                "wanted": row.wanted,
                "available": row.available,
                "chosen": row.chosen,
            }
            for row in choice.quotas
        ],
    }


def _steering(choice: Choice) -> dict[str, Any]:
    """What else steered the choice; null is left out, so that older selections stay as they are."""
    request, twins, wider = choice.request, choice.twins, choice.nearest
    return {
        "where": request.where,
        "met": choice.met,
        "weights": request.weights,
        "policy": choice.policy,
        "covered": choice.covered,
        "recipe": request.recipe,
        "min_confidence": request.min_confidence,
        "unsure": choice.unsure,
        "unranked": choice.unranked or None,
        "twins": twins
        and {
            "percent": request.twins,
            "wanted": twins.wanted,
            "available": twins.available,
            "chosen": twins.chosen,
        },
        "nearest": wider
        and {
            "edges": [
                {
                    "stratum": each.stratum,
                    "q_low": each.box.q_low,
                    "q_high": each.box.q_high,
                    "u_min": each.box.u_min,
                }
                for each in wider.boxes
            ],
            "gives": wider.gives,
            "enough": wider.enough,
        },
        "augment": choice.augment and choice.augment.lineage,
        "screened": choice.screening and choice.screening.lineage,
    }


class _Compared(BaseModel):
    """What of a lineage is no plain value that decides; all else is."""

    box: Deciding[BoxManifest | None]
    run: Prose[str]  # the scores' keys tell what of it decides the rows
    versions: Prose[dict[str, str]]


def differences(there: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Names of the fields in which two lineages differ, prose and the run's versions apart."""
    return sorted({name.partition(".")[0] for name in changed(there, wanted, _Compared)})
