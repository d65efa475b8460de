"""Other wordings by an engine behind a real endpoint and by the grammar, judged; what is kept."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from qibox.augment.rephrased import SAME_WORDS, Rephrased, rephrased
from qibox.augment.settled import find_rephraser, settle
from qibox.errors import UsageError
from qibox.manifests import JudgeManifest, ModelSpec
from qibox.mini.pool import iter_samples, recall
from qibox.mini.rewording import asks, other_wordings
from qibox.run.directory import Run
from tests.commands import qibox
from tests.endpoint import GRM, Endpoint, serving
from tests.runs import manifest, sample, write_run

SAMPLES = list(iter_samples("train", 20))
IDS = pa.array([each["sample_id"] for each in SAMPLES])
ORACLE = JudgeManifest(name="oracle", about="knows the world", kind="oracle")
LONGER = "Say it again"  # what the endpoint's model puts before a question


def mini_run(path: Path, judge: JudgeManifest) -> Run:
    """Samples of the miniature world, made by hand into a scored run of two shards."""
    rows = [
        sample(each["sample_id"], 5, 1, question=each["question"], image=each["image"]["bytes"])
        | {"meta": each["meta"], "risk": each["risk"]}
        for each in SAMPLES
    ]
    made_of = manifest().model_copy(update={"judges": (judge,)})
    return write_run(path, rows, shard_size=12, made_of=made_of)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as served:
        served.replies = {"word": reword, GRM: rule}
        yield served


def quoted(prompt: str, what: str) -> str:
    found = re.search(rf"--- BEGIN {what} \w+ ---\n(.*)\n--- END", prompt)
    assert found is not None, prompt
    return found[1]


def reword(prompt: str, seed: int) -> str:
    """The first wording asks the same, the second does not, the third is the question itself."""
    question = quoted(prompt, "QUESTION")
    return (f"{LONGER}:\n{question}", "I cannot help with that.", question.upper())[seed % 3]


def rule(prompt: str, seed: int) -> str:
    same = quoted(prompt, "OTHER WORDING").startswith(LONGER)
    return json.dumps({"rationale": "as it was" if same else "it refuses", "same": same})


def judge_at(endpoint: Endpoint) -> JudgeManifest:
    settings = {"base_url": endpoint.url, "attempts": 1, "native_n": True}
    model = ModelSpec(source=GRM, engine="openai", settings=settings)
    return JudgeManifest(name=GRM, about="a judge", kind="generative", model=model)


def write_rephraser(folder: Path, endpoint: Endpoint) -> Path:
    settings = {"base_url": endpoint.url, "attempts": 1, "native_n": True}
    fields = {
        "name": "word",
        "about": "a model behind an endpoint",
        "model": {"source": "word", "engine": "openai", "settings": settings},
        "sampling": {"samples": 3},
    }
    (folder / "word.yaml").write_text(yaml.safe_dump(fields))
    return folder / "word.yaml"


def test_what_asks_the_same_is_kept_and_the_rest_refused_with_a_reason(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    run = mini_run(tmp_path / "run", judge_at(endpoint))
    place = write_rephraser(tmp_path, endpoint)
    done = qibox("select", run.url, "--u-min", 0, "--rephrase", place, "--allow-overlap")
    assert done.status == 0, done.stderr
    assert "20 wordings that ask the same, as judge grm" in done.stdout.replace("`", "")
    data = "selections/default/data/train-00000-of-00001.parquet"
    rows = run.storage.read_table(data).to_pylist()
    variants = [row for row in rows if row["variant_of"] is not None]
    assert len(rows) == 40
    assert {row["variant"] for row in variants} == {"rephrased"}
    by_id = {row["sample_id"]: row for row in rows}
    for row in variants:
        own = by_id[row["variant_of"]]
        assert row["sample_id"] == f"{row['variant_of']}~rephrased-1"
        assert row["question"] == f"{LONGER}: {own['question']}"  # on one line
        assert row["prompt"][0]["content"][1]["text"] == f"Look. {row['question']}"
        assert (row["images"], row["risk"]) == (own["images"], own["risk"])
    refused = run.storage.read_table("selections/default/refused.parquet").to_pylist()
    assert len(refused) == 40
    assert {row["reason"] for row in refused} == {"it refuses", SAME_WORDS}
    told = run.storage.read_mapping("selections/default/selection.yaml")["augment"]["rephrased"]
    assert (told["engine"], told["model"], told["judge"]) == ("openai", "word", GRM)
    assert (told["questions"], told["refused"]) == (20, 40)
    card = run.storage.read_text("selections/default/README.md")
    assert "| I cannot help with that. | it refuses |" in card
    assert "--rephrase word.yaml" in card
    # The judge was not asked about what has the question's own words, and saw the picture.
    assert len(endpoint.take_asked("word")) == 20
    assert len(endpoint.take_asked(GRM)) == 40

    again = qibox("select", run.url, "--u-min", 0, "--rephrase", place, "--allow-overlap")
    assert "is there already" in again.stdout
    assert not endpoint.asked
    endpoint.replies["word"] = lambda prompt, seed: "another mood"
    name = ["--name", "more", "--overwrite"]
    qibox("select", run.url, "--u-min", 0, "--rephrase", place, "--allow-overlap", *name)
    assert run.storage.read_table(data.replace("default", "more")).to_pylist() == rows
    assert not endpoint.asked


def ask(run: Run, named: str, chosen: pa.Array = IDS, seed: int = 0) -> Rephrased:
    return rephrased(run, settle(run, named, seed), chosen)


def test_what_failed_is_asked_again_and_nothing_else(tmp_path: Path, endpoint: Endpoint) -> None:
    run = mini_run(tmp_path / "run", judge_at(endpoint))
    named = str(write_rephraser(tmp_path, endpoint))
    question = SAMPLES[3]["question"]
    ailing = [each["sample_id"] for each in SAMPLES if question in each["question"]]
    endpoint.ailing = {question: 500}
    found = ask(run, named, IDS.slice(0, 15))
    failed = [row for row in found.refused.to_pylist() if row["wording"] is None]
    assert {row["sample_id"] for row in failed} == set(ailing) & set(IDS.slice(0, 15).to_pylist())
    assert all("500" in row["reason"] for row in failed)
    endpoint.ailing = {}
    endpoint.asked.clear()
    whole = ask(run, named)
    assert len(endpoint.take_asked("word")) == 5 + len(failed) // 3
    assert len(whole.kept) == 20
    assert whole.rows == ask(run, named).rows
    assert ask(run, named, seed=1).about["key"] != whole.about["key"]
    assert len(endpoint.take_asked("word")) == 20  # another seed's are others


def test_a_judge_that_answers_nonsense_keeps_nothing(tmp_path: Path, endpoint: Endpoint) -> None:
    run = mini_run(tmp_path / "run", judge_at(endpoint))
    endpoint.replies[GRM] = lambda prompt, seed: '{"same": true, "same": true, "rationale": ""}'
    found = ask(run, str(write_rephraser(tmp_path, endpoint)), IDS.slice(0, 2))
    assert len(found.kept) == 0
    reasons = {row["reason"] for row in found.refused.to_pylist()}
    assert any("a field stands twice" in reason for reason in reasons)
    endpoint.replies[GRM] = rule
    assert len(ask(run, str(tmp_path / "word.yaml"), IDS.slice(0, 2)).kept) == 2


def test_the_grammar_words_questions_otherwise_and_the_oracle_knows(tmp_path: Path) -> None:
    for each in SAMPLES:
        _, question = recall(json.loads(each["meta"]))
        asked = (question.kind, question.topic, question.target)
        others = other_wordings(question, "0")
        assert question.text not in others
        assert {asks(question.world, text.upper()) for text in others} == {asked}
        assert other_wordings(question, "1") != others
        assert asks(question.world, f"{question.text} and more") is None
    run = mini_run(tmp_path / "run", ORACLE)
    select = ["select", run.url, "--u-min", 0, "--rephrase", "mini", "--name"]
    assert qibox(*select, "one").status == 0
    data = "selections/one/data/train-00000-of-00001.parquet"
    first = Path(run.storage.path(data)).read_bytes()
    assert (
        sum(row["variant"] == "rephrased" for row in run.storage.read_table(data).to_pylist()) == 40
    )
    run.storage.remove("rephrasings")
    run.storage.remove("selections")
    assert qibox(*select, "one").status == 0
    assert Path(run.storage.path(data)).read_bytes() == first
    dry = qibox(*select, "one", "--dry-run")
    assert dry.status == 0, dry.stderr
    assert "would ask mini for other wordings" in dry.stderr


def test_the_oracle_refuses_what_asks_something_else(tmp_path: Path, endpoint: Endpoint) -> None:
    run = mini_run(tmp_path / "run", ORACLE)
    endpoint.replies["word"] = lambda prompt, seed: "What is in the picture?"
    found = ask(run, f"openai/word@{endpoint.url}")
    listed = {e["sample_id"] for e in SAMPLES if json.loads(e["meta"])["topic"] == "list"}
    assert set(found.kept["sample_id"].to_pylist()) <= listed
    reasons = {r["reason"] for r in found.refused.to_pylist() if r["sample_id"] not in listed}
    assert any(reason.startswith("it is plain-list, where ") for reason in reasons)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nobody", "'nobody' is no rephraser: give one of mini, qwen"),
        ("openai/word", "give openai/MODEL@URL, such as openai/word@http"),
        ("transformers/builtin:none", "no shipped model named 'none'"),
    ],
)
def test_who_is_not_there_is_told_of(tmp_path: Path, named: str, said: str) -> None:
    run = mini_run(tmp_path / "run", ORACLE)
    done = qibox("select", run.url, "--u-min", 0, "--rephrase", named)
    assert done.status == 2
    assert said in " ".join(done.stderr.split())


def test_a_judge_that_cannot_tell_is_refused(tmp_path: Path) -> None:
    hashes = JudgeManifest(name="hash", about="by hash", kind="hash")
    run = mini_run(tmp_path / "run", hashes)
    with pytest.raises(UsageError, match="kind hash, which cannot say whether a question still"):
        ask(run, "mini")


def test_a_manifest_holds_together() -> None:
    assert find_rephraser("vllm/Qwen/Qwen2.5-VL-7B-Instruct").name == "qwen-qwen2-5-vl-7b-instruct"
    fields: dict[str, Any] = {"name": "x", "about": "x."}
    for wrong in (
        {},
        {"kind": "grammar", "prompt": "{question}"},
        {"kind": "grammar", "model": {}},
    ):
        with pytest.raises(ValueError, match=r"needs a model|takes no|source"):
            type(find_rephraser("mini")).model_validate(fields | wrong)
