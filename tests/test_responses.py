import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.manifests.asking import Marks
from qibox.responses import split_reasoning


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think> a b </think> c d", "a b", "c d"),
        (" \n<think>a</think>\nb ", "a", "b"),
        ("plain words ", None, "plain words"),
        ("<think> cut o", "cut o", None),
        ("<think>", None, None),
        ("<think> </think> b", None, "b"),
        ("<think>a</think>", "a", ""),
        ("a <think>b</think>", None, "a <think>b</think>"),
        ("<think>a</think>b</think>c", "a", "b</think>c"),
        ("<think>a<think>b</think>c", "a<think>b", "c"),
        ("</think>a", None, "</think>a"),
        ("<THINK>a</THINK>b", None, "<THINK>a</THINK>b"),
        ("<think>line\nline</think>\nline\n\nline", "line\nline", "line\n\nline"),
        ("<think>naïve 猫</think> 🐈", "naïve 猫", "🐈"),
        ("", None, ""),
        (None, None, None),
    ],
)
def test_a_think_block_that_opens_the_text_is_its_reasoning(
    text: str | None, reasoning: str | None, answer: str | None
) -> None:
    found = split_reasoning(pa.array([text], pa.string()))
    assert [part.to_pylist() for part in found] == [[reasoning], [answer]]


BOXED = Marks(
    answer_open="<answer>",
    answer_close="</answer>",
    drop=("<|begin_of_box|>", "<|end_of_box|>"),
)
OPENED = Marks(opened=True)
OTHER = Marks(open="◁think▷", close="◁/think▷")


@pytest.mark.parametrize(
    ("marks", "text", "reasoning", "answer"),
    [
        (
            BOXED,
            "<think>a</think><answer>b <|begin_of_box|>7<|end_of_box|></answer>",
            "a",
            "b 7",
        ),
        (BOXED, "<think>a</think> <answer> b", "a", "b"),  # cut off within its answer
        (BOXED, "<think>a</think> b", "a", "b"),
        (BOXED, "<answer>b</answer> c", None, "b"),
        (BOXED, "<think>a <answer>", "a <answer>", None),
        (BOXED, "<think>a</think><answer></answer>", "a", ""),
        (BOXED, None, None, None),
        (OPENED, "a</think> b", "a", "b"),
        (OPENED, "<think>a</think> b", "a", "b"),  # it writes the mark all the same
        (OPENED, "a b", "a b", None),
        (OPENED, "", None, None),
        (OPENED, None, None, None),
        (OTHER, "◁think▷a◁/think▷b", "a", "b"),
        (OTHER, "<think>a</think>b", None, "<think>a</think>b"),
    ],
)
def test_a_models_own_marks_tell_reasoning_and_answer_apart(
    marks: Marks, text: str | None, reasoning: str | None, answer: str | None
) -> None:
    found = split_reasoning(pa.array([text], pa.string()), marks)
    assert [part.to_pylist() for part in found] == [[reasoning], [answer]]


def test_rows_are_independent_and_keep_their_order() -> None:
    texts = pa.array(["x", "<think>a</think>b", None, "<think>c", "<think>d</think>e"])
    reasoning, answer = split_reasoning(texts)
    assert reasoning.to_pylist() == [None, "a", None, "c", "d"]
    assert answer.to_pylist() == ["x", "b", None, None, "e"]
    reasoning, answer = split_reasoning(texts.slice(1, 3))
    assert reasoning.to_pylist() == ["a", None, "c"]
    assert answer.to_pylist() == ["b", None, None]


def test_chunks_and_no_rows_at_all() -> None:
    reasoning, answer = split_reasoning(pa.chunked_array([["<think>a</think>b"], [], ["c"]]))
    assert (reasoning.to_pylist(), answer.to_pylist()) == (["a", None], ["b", "c"])
    reasoning, answer = split_reasoning(pa.array([], pa.string()))
    assert (len(reasoning), len(answer)) == (0, 0)
    assert reasoning.type == answer.type == pa.string()


letters = st.characters(
    categories=["L", "N", "P"], include_characters=" \n", exclude_characters="<"
)
words = st.text(letters, max_size=20)


@given(words, words)
def test_what_is_put_together_comes_apart(reasoning: str, answer: str) -> None:
    text = f"<think>{reasoning}</think>{answer}"
    found = [part[0].as_py() for part in split_reasoning(pa.array([text]))]
    assert [part and part.strip() for part in found] == [reasoning.strip() or None, answer.strip()]
