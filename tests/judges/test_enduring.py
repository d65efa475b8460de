from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qibox.errors import QiboxError
from qibox.judges.enduring import EnduringJudge
from qibox.tables import VERDICTS

pytestmark = pytest.mark.usefixtures("few_objects")

Said = Sequence[tuple[str, str]]  # (sample_id, text)
SCHEMA = pa.schema([(name, pa.string()) for name in ("sample_id", "text", "reasoning", "answer")])
NO_SAMPLES = pa.table({"sample_id": pa.array([], pa.string())})


def verdicts(said: Said) -> pa.Table:
    """What a judge says that raises on nothing."""
    rows = [{"score": 1.0 + ord(text) % 9, "rationale": f"{i}/{text}"} for i, text in said]
    return pa.Table.from_pylist(rows, schema=VERDICTS)


class Fragile:
    """Calls ``check`` on what it is given, batch by batch."""

    def __init__(self, check: Callable[[Said], None]) -> None:
        self.check = check
        self.batches: list[Said] = []

    def judge(self, samples: pa.Table, responses: pa.Table) -> pa.Table:
        columns = (responses[name].to_pylist() for name in ("sample_id", "text"))
        batch = list(zip(*columns, strict=True))
        self.batches.append(batch)
        self.check(batch)
        return verdicts(batch)

    def close(self) -> None:
        pass


def responses(said: Said) -> pa.Table:
    return pa.Table.from_pylist([{"sample_id": i, "text": t} for i, t in said], schema=SCHEMA)


def refusing(*texts: str) -> Callable[[Said], None]:
    def check(batch: Said) -> None:
        for _, text in batch:
            if text in texts:
                raise KeyError(text)

    return check


@settings(max_examples=20)  # each failure frees memory, which walks through all objects
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("uvwxyz")), max_size=12),
    st.sets(st.sampled_from("uvwxyz")),
)
def test_only_what_the_judge_raises_on_fails(said: Said, bad: set[str]) -> None:
    judge = Fragile(refusing(*bad))
    found = EnduringJudge(judge, "j").judge(NO_SAMPLES, responses(said))
    plain = verdicts(said)
    assert found.schema.equals(VERDICTS)
    for (_, text), row, good in zip(said, found.to_pylist(), plain.to_pylist(), strict=True):
        reason = f"the judge failed: KeyError: '{text}'"
        assert row == ({**dict.fromkeys(good), "reason": reason} if text in bad else good)


@settings(max_examples=20)  # each failure frees memory, which walks through all objects
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("uvwxyz")), max_size=12),
    st.sets(st.sampled_from("uvwxyz"), max_size=2),
)
def test_samples_whose_responses_are_compared_fail_whole(said: Said, bad: set[str]) -> None:
    judge = Fragile(refusing(*bad))
    found = EnduringJudge(judge, "j", together=True).judge(NO_SAMPLES, responses(said))
    gone = {sample for sample, text in said if text in bad}
    plain = verdicts(said)
    for (sample, _), row, good in zip(said, found.to_pylist(), plain.to_pylist(), strict=True):
        assert (row["score"] is None) == (sample in gone)
        assert row == good or sample in gone
    of = {sample: sum(other == sample for other, _ in said) for sample, _ in said}
    for batch in judge.batches:  # each sample's responses stay together
        assert all(sum(i == s for i, _ in batch) == of[s] for s, _ in batch)


def test_a_judge_that_raises_on_nothing_is_asked_once() -> None:
    judge = Fragile(lambda batch: None)
    said = [("a", "u"), ("b", "v"), ("a", "w")]
    found = EnduringJudge(judge, "j").judge(NO_SAMPLES, responses(said))
    assert judge.batches == [said]
    assert found.equals(verdicts(said))


def test_memory_that_runs_out_halves_the_batches_for_good() -> None:
    def check(batch: Said) -> None:
        if len(batch) > 2:
            raise MemoryError

    judge = Fragile(check)
    enduring = EnduringJudge(judge, "j")
    said = [("a", text) for text in "uvwxyz"]
    for _ in range(2):
        found = enduring.judge(NO_SAMPLES, responses(said))
        assert found["score"].null_count == 0
    assert [len(batch) for batch in judge.batches] == [6, 3, 1, 1, 1, 1, 1, 1] + [1] * 6


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (QiboxError("the key is refused"), "the key is refused"),
        (
            RuntimeError("CUDA error: lost"),
            "judge 'j' cannot go on: RuntimeError: CUDA error: lost",
        ),
    ],
)
def test_what_concerns_every_response_is_raised(error: Exception, said: str) -> None:
    def check(batch: Said) -> None:
        raise error

    judge = Fragile(check)
    with pytest.raises(QiboxError, match=said):
        EnduringJudge(judge, "j").judge(NO_SAMPLES, responses([("a", "u"), ("a", "v")]))
    assert len(judge.batches) == 1


def test_a_keystroke_stops_it() -> None:
    def check(batch: Said) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EnduringJudge(Fragile(check), "j").judge(NO_SAMPLES, responses([("a", "u")]))
