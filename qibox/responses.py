"""A response's text, split into its reasoning and its answer."""

import pyarrow as pa
import pyarrow.compute as pc

from qibox.manifests.asking import Marks

USUAL = Marks()  # <think> reasoning </think> answer


def split_reasoning(
    texts: pa.Array | pa.ChunkedArray, marks: Marks = USUAL
) -> tuple[pa.Array, pa.Array]:
    """Split ``<think> reasoning </think> answer``; returns (reasoning, answer), both stripped.

    The block must open the text: one that comes later is part of the answer. Without a block, or
    with an empty one, the reasoning is null. A block that never closes (a truncated response)
    leaves the answer null. A null text gives two nulls. Where the template has ``opened`` the
    block, every text begins in it.
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    # Splitting at a fixed string is four times as fast as a regular expression that captures.
    trimmed = pc.utf8_trim_whitespace(texts)
    thinks = pc.starts_with(trimmed, marks.open)
    block = pc.if_else(thinks, pc.utf8_slice_codeunits(trimmed, len(marks.open)), None)
    if marks.opened:
        block = pc.coalesce(block, trimmed)
        thinks = pc.is_valid(trimmed)
    reasoning, closed = _cut(block, marks.close)
    reasoning = pc.utf8_trim_whitespace(reasoning)
    reasoning = pc.if_else(pc.equal(reasoning, ""), None, reasoning)
    answer = pc.if_else(thinks, closed, trimmed)
    return reasoning, pc.utf8_trim_whitespace(_within(answer, marks))


def _cut(texts: pa.Array, mark: str) -> tuple[pa.Array, pa.Array]:
    """What stands before the first mark, and behind it; the latter null where there is none."""
    parts = pc.split_pattern(texts, mark, max_splits=1)
    both = pc.list_slice(parts, 0, 2, return_fixed_size_list=True)
    return pc.list_element(both, 0), pc.list_element(both, 1)


def _within(answers: pa.Array, marks: Marks) -> pa.Array:
    """What stands between the answer's own marks, where they are there, without what is dropped."""
    if marks.answer_open is not None:
        _, behind = _cut(answers, marks.answer_open)
        answers = pc.coalesce(behind, answers)
    if marks.answer_close is not None:
        answers, _ = _cut(answers, marks.answer_close)
    for mark in marks.drop:
        answers = pc.replace_substring(answers, mark, "")
    return answers
