import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.engines.load import load_engine, resolve_model
from qibox.engines.recording import find_pieces, recorded_bytes, recording_fingerprint
from qibox.engines.replay import ReplayEngine
from qibox.errors import UsageError
from qibox.manifests.panel import ModelSpec
from qibox.manifests.sampling import Sampling
from qibox.tables import COMPLETIONS, PROMPTS


def asking(*keys: str) -> pa.Table:
    rows = [{"key": key, "system": None, "text": "?", "image": None} for key in keys]
    return pa.Table.from_pylist(rows, schema=PROMPTS)


def play(source: Path, *keys: str, samples: int = 2, model: str = "m") -> list[str]:
    """Each row's text, or its reason in brackets."""
    table = ReplayEngine(model, str(source)).generate(asking(*keys), Sampling(samples=samples))
    assert table.schema == COMPLETIONS
    assert table["key"].to_pylist() == [key for key in keys for _ in range(samples)]
    assert table["k"].to_pylist() == list(range(samples)) * len(keys)
    pairs = zip(table["text"].to_pylist(), table["reason"].to_pylist(), strict=True)
    return [f"[{reason}]" if text is None else text for text, reason in pairs]


def record(path: Path, ids: list[str], samples: int = 2, **columns: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {
        "sample_id": [i for i in ids for _ in range(samples)],
        "k": list(range(samples)) * len(ids),
        "text": [f"{i}/{k}" for i in ids for k in range(samples)],
        **columns,
    }
    pq.write_table(pa.table(table), path)
    return path


def test_recorded_rows_are_played_in_the_order_asked(tmp_path):
    source = record(tmp_path / "r.parquet", ["a", "b", "c"])
    assert play(source, "c", "a") == ["c/0", "c/1", "a/0", "a/1"]


def test_what_is_not_recorded_says_so(tmp_path):
    source = record(tmp_path / "r.parquet", ["a"])
    missing = "[not recorded]"
    assert play(source, "x", "a", samples=3) == [missing] * 3 + ["a/0", "a/1", missing]


def test_fewer_are_played_than_recorded(tmp_path):
    source = record(tmp_path / "r.parquet", ["a"], samples=5)
    assert play(source, "a", samples=2) == ["a/0", "a/1"]


def test_a_recorded_failure_keeps_its_reason(tmp_path):
    columns = {"text": ["a/0", None, None, "b/1"], "reason": [None, "too long", None, None]}
    source = record(tmp_path / "r.parquet", ["a", "b"], **columns)
    expected = ["a/0", "[too long]", "[recorded without a text]", "b/1"]
    assert play(source, "a", "b") == expected


def test_optional_columns_are_kept(tmp_path):
    columns = {"finish_reason": ["stop", "length"], "tokens": [3, 4]}
    source = record(tmp_path / "r.parquet", ["a"], **columns)
    table = ReplayEngine("m", str(source)).generate(asking("a"), Sampling(samples=2))
    assert table["finish_reason"].to_pylist() == ["stop", "length"]
    assert table["tokens"].to_pylist() == [3, 4]


def test_reasoning_beside_a_text_is_put_before_it_once(tmp_path):
    columns = {"text": ["yes", "<think> why </think> no"], "reasoning": ["because", "why"]}
    source = record(tmp_path / "r.parquet", ["a"], **columns)
    assert play(source, "a") == ["<think> because </think> yes", "<think> why </think> no"]


def test_without_k_each_response_is_the_first(tmp_path):
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"sample_id": ["a", "b"], "text": ["x", "y"]}), path)
    assert play(path, "b", "a", samples=1) == ["y", "x"]


def test_a_runs_responses_can_be_played(tmp_path):
    for model in ("m", "n"):
        for shard, ids in enumerate((["a", "b"], ["c"])):
            path = tmp_path / f"responses/model={model}/shard-{shard:05d}.parquet"
            columns = {"text": [f"{model}:{i}" for i in ids], "model": [model] * len(ids)}
            record(path, ids, samples=1, **columns)
    assert play(tmp_path / "responses", "c", "a", samples=1, model="n") == ["n:c", "n:a"]
    with pytest.raises(UsageError, match=r"none of model 'x' .they hold m, n."):
        ReplayEngine("x", str(tmp_path / "responses"))


def test_a_column_tells_models_apart_too(tmp_path):
    columns = {"model": ["m", "n"], "k": [0, 0], "sample_id": ["a", "a"], "text": ["m", "n"]}
    source = record(tmp_path / "r.parquet", ["a"], **columns)
    assert play(source, "a", samples=1, model="n") == ["n"]
    with pytest.raises(UsageError, match=r"none of model 'x'.*settings.model"):
        play(source, "a", model="x")


@pytest.mark.parametrize("bounds", [True, False], ids=["with bounds", "without"])
@pytest.mark.parametrize("folded", [1, 3], ids=["in order", "interleaved"])
def test_samples_are_found_whatever_piece_they_lie_in(tmp_path, folded, bounds):
    ids = [f"s{i:03d}" for i in range(60)]
    for shard in range(3):
        part = ids[shard::3] if folded == 3 else ids[shard * 20 : shard * 20 + 20]
        path = tmp_path / f"{shard}.parquet"
        table = pq.read_table(record(tmp_path / "x" / "x.parquet", part))
        pq.write_table(table, path, row_group_size=7, write_statistics=bounds)
    (tmp_path / "x" / "x.parquet").unlink()
    wanted = ids[::-1]
    assert play(tmp_path, *wanted) == [f"{i}/{k}" for i in wanted for k in range(2)]
    for few in (ids[4:7], ids[19:21], ["s0", "s9"], [*ids[:2], "t"]):
        there = set(few) & set(ids)
        said = [f"{i}/{k}" if i in there else "[not recorded]" for i in few for k in range(2)]
        assert play(tmp_path, *few) == said


@given(
    recorded=st.sets(st.tuples(st.sampled_from("abcdef"), st.integers(0, 4))),
    keys=st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1),
    samples=st.integers(1, 4),
)
def test_every_row_is_there_and_is_its_own(tmp_path_factory, recorded, keys, samples):
    path = tmp_path_factory.mktemp("replay") / "r.parquet"
    rows = [("z", 0), *recorded]  # a recording that holds something
    table = {
        "sample_id": [i for i, _ in rows],
        "k": [k for _, k in rows],
        "text": [f"{i}{k}" for i, k in rows],
    }
    pq.write_table(pa.table(table), path)
    expected = [
        f"{key}{k}" if (key, k) in recorded else "[not recorded]"
        for key in keys
        for k in range(samples)
    ]
    assert play(path, *keys, samples=samples) == expected


def test_no_prompts_no_rows(tmp_path):
    assert play(record(tmp_path / "r.parquet", ["a"])) == []


def test_a_response_recorded_twice_is_refused(tmp_path):
    source = record(tmp_path / "r.parquet", ["a", "b", "b"])
    with pytest.raises(UsageError, match=r"\(sample_id, k\) twice for sample_id 'b'"):
        play(source, "a", "b")


def test_what_is_not_a_recording_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(UsageError, match=r"no recorded responses at"):
        ReplayEngine("m", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"holds no .parquet file"):
        ReplayEngine("m", str(tmp_path))
    (tmp_path / "x.parquet").write_text("text")
    with pytest.raises(UsageError, match=r"x\.parquet is not Parquet"):
        ReplayEngine("m", str(tmp_path))
    pq.write_table(pa.table({"id": ["a"], "text": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match=r"lacks column sample_id \(it has id, text\)"):
        ReplayEngine("m", str(tmp_path))
    pq.write_table(pa.table({"sample_id": ["a"], "text": [3]}), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match=r"column text of x.parquet is int64, it must be string"):
        ReplayEngine("m", str(tmp_path))


def test_dictionary_and_large_strings_are_read(tmp_path):
    table = pa.table(
        {
            "sample_id": pa.array(["a", "b"]).dictionary_encode(),
            "k": pa.array([0, 0], pa.int64()),
            "text": pa.array(["x", "y"], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "r.parquet")
    assert play(tmp_path / "r.parquet", "b", samples=1) == ["y"]


def test_the_same_recording_has_the_same_fingerprint_and_a_changed_one_another(tmp_path):
    source = record(tmp_path / "r.parquet", ["a"])
    spec = ModelSpec(source=str(source), engine="replay")
    first = resolve_model(spec).revision
    assert first is not None
    assert first.startswith("sha256:")
    assert resolve_model(spec).revision == first
    record(source, ["b"])
    assert resolve_model(spec).revision != first


def test_a_panel_model_can_be_a_recording(tmp_path):
    source = record(tmp_path / "r.parquet", ["a"], model=["other"] * 2)
    settings = {"model": "other"}
    spec = ModelSpec(source=str(source), engine="replay", settings=settings)
    drawn_alike = spec.model_copy(update={"noise_id": "start"})  # plays what it played
    for one in (spec, drawn_alike):
        engine = load_engine("m", resolve_model(one))
        table = engine.generate(asking("a"), Sampling(samples=2))
        assert table["text"].to_pylist() == ["a/0", "a/1"]
        engine.close()


def test_a_fingerprint_is_of_the_files_in_order_folder_by_folder(tmp_path):
    record(tmp_path / ".hidden/x.parquet", ["a"])
    record(tmp_path / "model=m/.half.parquet", ["a"])
    files = [
        record(tmp_path / f"{name}.parquet", [name])
        for name in ("all", "model=m/x", "model=m-2/x", "parts/model=m/y")  # "m/" is after "m-"
    ]

    def expected(*chosen: Path) -> str:
        hasher = hashlib.sha256()
        for file in chosen:
            content = file.read_bytes()
            hasher.update(f"{file.relative_to(tmp_path)}\0{len(content)}\0".encode())
            hasher.update(hashlib.sha256(content).digest())
        return f"sha256:{hasher.hexdigest()}"

    everything, (all_, of_m, _, below) = str(tmp_path), files
    assert recording_fingerprint(everything) == expected(*files)
    assert recording_fingerprint(everything, ["m"]) == expected(all_, of_m, below)
    assert recording_fingerprint(everything, ["other"]) == expected(all_)
    assert recording_fingerprint(str(tmp_path / "model=m-2"), ["m"]) == recording_fingerprint(
        str(tmp_path / "model=m-2")
    )  # another model's alone: that it is another's is said when it is opened
    assert recorded_bytes(everything) == sum(file.stat().st_size for file in files)
    assert len(find_pieces(everything, "m-2")) == 2
