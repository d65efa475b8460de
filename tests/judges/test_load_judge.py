import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qibox.errors import UsageError
from qibox.judges.generative import GenerativeJudge
from qibox.judges.hash import HashJudge
from qibox.judges.load import engine_judge, load_judge, resolve_judge
from qibox.judges.oracle import OracleJudge
from qibox.judges.pairwise import PairwiseJudge
from qibox.judges.replay import ReplayJudge
from qibox.manifests import JudgeManifest, ModelSpec, load_manifest
from qibox.mini.pool import iter_samples
from qibox.tables import POOL


def manifest(kind: str, **fields: Any) -> JudgeManifest:
    return JudgeManifest.model_validate({"name": "judge", "about": "", "kind": kind, **fields})


def record(path: Path, score: float = 5.0) -> str:
    pq.write_table(pa.table({"sample_id": ["a"], "text": ["x"], "score": [score]}), path)
    return str(path)


def test_shipped_judges_that_need_no_model_load() -> None:
    assert isinstance(load_judge(load_manifest(JudgeManifest, "oracle")), OracleJudge)
    assert isinstance(load_judge(load_manifest(JudgeManifest, "hash")), HashJudge)


def test_a_manifests_weights_reach_the_score(
    tmp_path: Path, engine: Any, make_samples: Any, make_responses: Any
) -> None:
    verdict = {
        "rationale": "",
        "logical_coherence": None,
        "image_grounding": None,
        "safety_awareness": None,
        "harmlessness": 2,
        "helpfulness": 10,
        "hallucination": False,
        "contradiction": False,
        "grounding_gap": 0,
        "safe": True,
    }
    weights = {"harmlessness": 1.0, "helpfulness": 3.0}  # (2 + 3·10) / 4 = 8
    pq.write_table(
        pa.Table.from_pylist([{"sample_id": "a", "text": "x", **verdict}]), tmp_path / "v.parquet"
    )
    replay = load_judge(manifest("replay", path=str(tmp_path / "v.parquet"), weights=weights))
    assert isinstance(replay, ReplayJudge)
    generative = engine_judge(
        manifest("generative", model={"source": "grm"}, weights=weights),
        engine(lambda prompt, sampling: json.dumps(verdict)),
    )
    assert isinstance(generative, GenerativeJudge)
    for judge in (replay, generative):
        table = judge.judge(make_samples("a"), make_responses(("a", "x")))
        assert table["score"].to_pylist() == [8.0]


def test_a_pairwise_manifest_gives_its_settings(
    engine: Any, make_samples: Any, make_responses: Any
) -> None:
    fields = {"model": {"source": "grm", "system": "strict"}, "pairs": 3, "safe_from": 4.0}
    asked = engine(lambda prompt, sampling: "Scores: \\boxed{4, 4}")
    judge = engine_judge(manifest("pairwise", **fields), asked)
    assert isinstance(judge, PairwiseJudge)
    responses = make_responses(*[("a", f"text {i}") for i in range(9)])
    table = judge.judge(make_samples("a"), responses)
    assert table["safe"].to_pylist() == [True] * 9
    assert len(asked.asked) == 54  # 9 texts × 3 pairings × 2 orders
    assert asked.asked[0]["system"].startswith("strict\n\n")


def test_resolving_a_replay_judge_records_what_lies_at_its_path(tmp_path: Path) -> None:
    path = record(tmp_path / "v.parquet")
    first = resolve_judge(manifest("replay", path=path))
    assert first.revision is not None
    assert first.revision.startswith("sha256:")
    assert resolve_judge(first) == first
    assert resolve_judge(manifest("replay", path=path)) == first
    record(tmp_path / "v.parquet", score=6.0)
    assert resolve_judge(manifest("replay", path=path)).revision != first.revision
    with pytest.raises(UsageError, match=r"are not those of revision sha256:.*drop the revision"):
        resolve_judge(first)


def test_a_directory_of_recordings_counts_names_and_contents(tmp_path: Path) -> None:
    record(tmp_path / "one.parquet")
    judge = manifest("replay", path=str(tmp_path))
    first = resolve_judge(judge).revision
    (tmp_path / "one.parquet").rename(tmp_path / "two.parquet")
    assert resolve_judge(judge).revision != first


def test_recordings_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recorded verdicts at .*absent"):
        resolve_judge(manifest("replay", path=str(tmp_path / "absent")))


def test_an_oracle_is_resolved_as_it_is() -> None:
    oracle = load_manifest(JudgeManifest, "oracle")
    assert resolve_judge(oracle) is oracle


def test_a_models_engine_and_revision_are_resolved() -> None:
    spec = ModelSpec(source="grm", engine="openai", settings={"base_url": "http://localhost/v1"})
    resolved = resolve_judge(manifest("generative", model=spec))
    assert resolved.model is not None
    assert resolved.model.engine == "openai"


def test_a_shipped_model_is_no_judge_and_says_so_in_every_row(make_responses: Any) -> None:
    """A real engine end to end: its words are no JSON, so both attempts fail and are kept."""
    samples = pa.Table.from_pylist(list(iter_samples("train", 2)), schema=POOL)
    judge = load_judge(
        manifest(
            "generative",
            model={
                "source": "builtin:strong",
                "engine": "transformers",
                "settings": {"isolate": False},
            },
            sampling={"temperature": 0.0, "max_tokens": 40},
            rubric="{question} {response}",
        )
    )
    first, second = samples["sample_id"].to_pylist()
    pairs = [(first, "yes ."), (second, "no ."), (first, "yes . " * 500)]
    *rows, long = judge.judge(samples, make_responses(*pairs)).to_pylist()
    judge.close()
    for row in rows:
        assert row["score"] is None
        assert row["raw"]
        assert row["reason"].startswith("the judge's words")
        assert row["reason"].endswith("in the second attempt")
    assert long["reason"].startswith("the judge's model failed: prompt has")
    assert long["raw"] is None
