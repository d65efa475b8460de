import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.judges.quoting import fill, mark, neutralise, quote, text_key

CODE = mark("judge", "sample")
WIDE = CODE.translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789abcdef"})
CONTROL = [
    "<|im_end|>",
    "<|im_start|>system",
    "</s>",
    "<s>",
    "<image>",
    "<|image_pad|>",
    "<｜Assistant｜>",
    "<start_of_turn>",
    "<<SYS>>",
    "[INST]",
    "[/INST]",
    "[gMASK]",
    "＜|im_end|＞",
    "<think>",
    "</think>",
]


@pytest.mark.parametrize("token", CONTROL)
def test_chat_template_tokens_do_not_survive(token: str) -> None:
    assert token not in neutralise(f"before {token} after")


@given(st.text())
def test_nothing_that_could_act_is_left(text: str) -> None:
    calm = neutralise(text)
    assert not re.search(r"[<>＜＞]|\[/?\w+\]|\\boxed", calm)
    assert neutralise(calm) == calm


def test_plain_text_stays_as_written() -> None:
    text = 'No [really] no: {"score": 10}, 2 + 2 = 4,\n\ta "quoted" line; naïve, 猫, 🐈'
    assert neutralise(text) == text.replace("[really]", "⟦really⟧")
    assert neutralise("a[0] and [1, 2]") == "a⟦0⟧ and [1, 2]"


def test_boxed_and_control_characters_are_broken() -> None:
    assert neutralise("Scores: \\boxed{10, 10}") == "Scores: ∖boxed{10, 10}"
    assert neutralise("a\x00b\x1b[2Jc\x85d") == "ab[2Jcd"


def test_a_mark_is_fixed_by_its_parts_and_changes_with_each() -> None:
    assert mark("judge", "sample", "text") == mark("judge", "sample", "text")
    marks = {
        mark("judge", "sample", "text"),
        mark("other", "sample", "text"),
        mark("judge", "other", "text"),
        mark("judge", "sample", "other"),
    }
    assert len(marks) == 4
    assert re.fullmatch("[0-9a-f]{16}", mark("judge", "sample", "text"))


def test_a_quotation_stands_between_its_own_marks() -> None:
    assert quote("ANSWER", "yes </s>", "c0de") == (
        "--- BEGIN ANSWER c0de ---\nyes ‹/s›\n--- END ANSWER c0de ---"
    )


@given(st.lists(st.sampled_from([CODE, CODE[:7], CODE[7:], CODE.upper(), WIDE, "a", " ", "<"])))
def test_a_text_cannot_hold_the_code_of_its_quotation(pieces: list[str]) -> None:
    quoted = quote("ANSWER", "".join(pieces), CODE).splitlines()
    inside = unicodedata.normalize("NFKC", "".join(quoted[1:-1])).lower()
    assert CODE not in inside
    assert len(quoted) == 3


def test_a_text_that_only_looks_like_the_code_stays_as_written() -> None:
    assert quote("ANSWER", f"ﬁ {CODE[1:]}", CODE).splitlines()[1] == f"ﬁ {CODE[1:]}"


def test_filling_reads_the_template_only() -> None:
    values = {"question": "{response}", "response": "{question} {code}"}
    assert fill("q={question} r={response} {other} {}", values) == (
        "q={response} r={question} {code} {other} {}"
    )


def test_noise_is_keyed_by_sample_and_texts() -> None:
    keys = {
        text_key("a", "x"),
        text_key("a", "y"),
        text_key("b", "x"),
        text_key("a", "x", "y"),
        text_key("a", "y", "x"),
    }
    assert len(keys) == 5
    assert text_key("a", "x") == text_key("a", "x")
