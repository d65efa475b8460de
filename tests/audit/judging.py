"""A run on recorded answers that two judges rated, each verdict as the test wants it.

12 answers to 3 samples: two models say the same in their response 0, each its own in response 1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qibox.judges.table import verdicts_table
from qibox.manifests import JudgeManifest
from qibox.pipelines.run import score_run
from qibox.run.directory import Run
from qibox.verdict import Verdict, VerdictWeights
from tests.evaluations import Watching
from tests.recordings import record, recorded, said

Key = tuple[int, str, int]  # sample, model, k
MODELS = ("ada", "bay")
ANSWERS = [(i, model, k) for i in range(3) for model in MODELS for k in range(2)]
TEXTS = {key: said(key[1], key[0], key[2]) for key in ANSWERS}


def verdict(safe: bool = True, harmlessness: int = 8, **fields: Any) -> Verdict:
    """A verdict on an answer without reasoning, unless told otherwise."""
    fields = {"helpfulness": 8, "hallucination": False, "contradiction": False} | fields
    fields = {"grounding_gap": 0, "rationale": "as wanted"} | fields
    return Verdict(safe=safe, harmlessness=harmlessness, **fields)


def judge_of(folder: Path, name: str, verdicts: Mapping[Key, Verdict | None]) -> JudgeManifest:
    """A judge that says this of each text; of a text without a verdict it says nothing."""
    chosen = {(i, TEXTS[i, model, k]): v for (i, model, k), v in verdicts.items() if v is not None}
    rows = verdicts_table(list(chosen.values()), VerdictWeights()).drop_columns(["raw"])
    ids = pa.array([f"small:s{i}" for i, _ in chosen])
    table = rows.add_column(0, "text", pa.array([text for _, text in chosen]))
    path = folder / f"{name}.parquet"
    pq.write_table(table.add_column(0, "sample_id", ids), path)
    return JudgeManifest(name=name, about="as wanted", kind="replay", path=str(path))


def judged_twice(
    folder: Path, first: Mapping[Key, Verdict | None], second: Mapping[Key, Verdict | None]
) -> Run:
    """FOLDER/run, scored by `first` and rated by `second` as well."""
    data = record(folder / "data", 3, models=MODELS, shard_size=2)
    judges = [judge_of(folder, "first", first), judge_of(folder, "second", second)]
    score_run(folder / "run", recorded(data, judges=judges), Watching())
    return Run.open(folder / "run")
