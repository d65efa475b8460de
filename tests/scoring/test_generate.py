from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from qibox.engines.completions import Completion, assemble
from qibox.manifests import PanelManifest
from qibox.manifests.asking import Marks
from qibox.manifests.sampling import Sampling
from qibox.run.directory import Run
from qibox.run.layout import pool_path, responses_path
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.generate import CUT_OFF, NO_ANSWER, AskModel, make_responses
from qibox.scoring.slices import SLICE_SAMPLES
from qibox.tables import POOL, RESPONSES
from tests.scoring.making import manifest

PATH = responses_path("m", 0)


def unit(samples: int) -> Unit:
    return Unit(PATH, "the-key", 0, samples, pool_path(0), model="m")


class Echo:
    """Says its prompt back; fails where the prompt says so."""

    def __init__(self) -> None:
        self.calls: list[pa.Table] = []

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        self.calls.append(prompts)
        answers = [
            [
                Completion(reason="would not")
                if "fail" in text
                else Completion(f"<think>{k}</think>{text}", "stop", 3)
                for k in range(sampling.samples)
            ]
            for text in prompts["text"].to_pylist()
        ]
        return assemble(prompts["key"].to_pylist(), answers)

    def close(self) -> None:
        pass


def asking(**panel: Any) -> AskModel:
    fields = {
        "name": "p",
        "about": "",
        "models": {"m": {"source": "x", "system": "be good", "engine": "transformers"}},
        "sampling": {"samples": 2},
    }
    made = PanelManifest.model_validate({**fields, **panel})
    return AskModel("m", made.models["m"], made.prompt, made.sampling)


def pool(questions: list[str]) -> pa.Table:
    rows = [
        {"sample_id": f"s{i}", "question": q, "image": {"bytes": b"png%d" % i, "path": None}}
        for i, q in enumerate(questions)
    ]
    return pa.Table.from_pylist(rows, schema=POOL)


def test_a_prompt_is_the_panels_template_around_the_question() -> None:
    samples = pool(["why {question}?", "how"])
    prompts = asking(prompt="Look. {question} Think. {question}").prompts_of(samples)
    assert prompts.to_pylist() == [
        {
            "key": "s0",
            "system": "be good",
            "text": "Look. why {question}? Think. why {question}?",
            "image": {"bytes": b"png0", "path": None},
        },
        {
            "key": "s1",
            "system": "be good",
            "text": "Look. how Think. how",
            "image": {"bytes": b"png1", "path": None},
        },
    ]


def test_an_engine_that_looks_things_up_is_given_no_picture() -> None:
    replay = asking(models={"m": {"source": "x", "engine": "replay"}})
    assert not replay.reads_images
    prompts = replay.prompts_of(pool(["a"]).drop_columns(["image"]))
    assert prompts["image"].to_pylist() == [None]
    assert prompts["system"].to_pylist() == [None]


def test_a_unit_keeps_every_row_and_tells_the_reasons(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write_table(pool_path(0), pool(["a", "fail", "b"]))
    told: list[pa.Array] = []
    asking().do(Echo(), storage, [unit(3)], told.append)
    table = storage.read_table(PATH)
    assert table.schema.remove_metadata().equals(RESPONSES)
    assert storage.table_key(PATH) == "the-key"
    assert table["sample_id"].to_pylist() == ["s0", "s0", "s1", "s1", "s2", "s2"]
    assert table["k"].to_pylist() == [0, 1] * 3
    assert table["model"].to_pylist() == ["m"] * 6
    assert table["reasoning"].to_pylist() == ["0", "1", None, None, "0", "1"]
    assert table["answer"].to_pylist() == ["a", "a", None, None, "b", "b"]
    assert table["reason"].to_pylist() == [None, None, "would not", "would not", None, None]
    assert [reasons.to_pylist() for reasons in told] == [table["reason"].to_pylist()]


def test_a_large_shard_is_asked_slice_by_slice(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write_table(pool_path(0), pool(["a"] * (SLICE_SAMPLES + 1)))
    engine = Echo()
    asking().do(engine, storage, [unit(SLICE_SAMPLES + 1)], lambda _: None)
    assert [len(call) for call in engine.calls] == [SLICE_SAMPLES, 1]
    assert len(storage.read_table(PATH)) == 2 * (SLICE_SAMPLES + 1)


class Careless(Echo):
    """Breaks the protocol: one completion too few, or all in reverse."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        good = super().generate(prompts, sampling)
        return good.slice(1) if self.how == "short" else good.take(list(range(len(good)))[::-1])


@pytest.mark.parametrize("how", ["short", "reversed"])
def test_an_engine_that_breaks_its_protocol_leaves_no_file(tmp_path: Path, how: str) -> None:
    storage = Storage(tmp_path)
    storage.write_table(pool_path(0), pool(["a", "b"]))
    with pytest.raises(AssertionError, match="m: "):
        asking().do(Careless(how), storage, [unit(2)], lambda _: None)
    assert storage.files("responses") == []
    assert not list((tmp_path / "responses").rglob("*.parquet*"))


def test_thoughts_without_an_answer_are_no_response_where_marks_are_told() -> None:
    """The thoughts stay, and the reason is one of its own; an answer cut off is an answer."""
    said = [
        ("<think>a</think>b", "stop"),
        ("<think>a", "length"),
        ("<think>a</think>", "length"),
        ("<think>a", "stop"),
        ("<think>a</think>b", "length"),
        ("b", "stop"),
        ("", "stop"),
    ]
    answers = [[Completion(text, finish, 3)] for text, finish in said]
    completions = assemble(list("abcdefg"), [*answers])
    usual = make_responses(completions, "m")
    assert usual["reason"].null_count == 7
    table = make_responses(completions, "m", Marks())
    assert table["text"].to_pylist() == [said[0][0], None, None, None, said[4][0], "b", ""]
    assert table["answer"].to_pylist() == ["b", None, None, None, "b", "b", ""]
    assert table["reasoning"].to_pylist() == ["a", "a", "a", "a", "a", None, None]
    assert table["reason"].to_pylist() == [None, CUT_OFF, CUT_OFF, NO_ANSWER, None, None, None]
    assert table["finish_reason"].to_pylist() == [finish for _, finish in said]


def test_a_model_is_asked_as_its_panel_says_unless_it_says_so_itself(tmp_path: Path) -> None:
    made = PanelManifest.model_validate(
        {
            "name": "p",
            "about": "",
            "system": "think",
            "template_arguments": {"enable_thinking": True, "x": 1},
            "models": {
                "plain": {"source": "x"},
                "own": {
                    "source": "x",
                    "system": "be good",
                    "prompt": "Why {question}?",
                    "template_arguments": {"enable_thinking": False},
                },
            },
        }
    )
    run = Run(Storage(tmp_path), manifest().model_copy(update={"panel": made}))
    plain, own = AskModel.of(run)
    assert (plain.spec.system, plain.prompt) == ("think", "{question}")
    assert plain.spec.template_arguments == {"enable_thinking": True, "x": 1}
    assert (own.spec.system, own.prompt) == ("be good", "Why {question}?")
    assert own.spec.template_arguments == {"enable_thinking": False, "x": 1}
