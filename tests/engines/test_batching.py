from collections.abc import Sequence

import pytest

from qibox.engines.batching import Batcher, BrokenEngineError, is_out_of_memory

pytestmark = pytest.mark.usefixtures("few_objects")


def failed(item: int, reason: str) -> str:
    return f"{item}: {reason}"


def test_results_come_in_order_from_batches_of_at_most_the_size():
    sizes = []

    def run(batch: Sequence[int]) -> list[str]:
        sizes.append(len(batch))
        return [f"{item}" for item in batch]

    assert Batcher(3).map(range(8), run, failed) == [str(i) for i in range(8)]
    assert sizes == [3, 3, 2]


def test_out_of_memory_halves_the_batch_for_good():
    sizes = []

    def run(batch: Sequence[int]) -> list[str]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise MemoryError
        return ["ok"] * len(batch)

    batcher = Batcher(8)
    assert batcher.map(range(8), run, failed) == ["ok"] * 8
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert batcher.size == 2


def test_an_item_too_large_for_memory_alone_says_so():
    def run(batch: Sequence[int]) -> list[str]:
        if 1 in batch:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return ["ok"] * len(batch)

    results = Batcher(4).map(range(3), run, failed)
    assert results[0] == results[2] == "ok"
    assert "out of memory" in results[1]


@pytest.mark.parametrize("bad", [{0}, {7}, {2, 3}, set(range(8))])
def test_failing_items_cost_only_themselves(bad):
    def run(batch: Sequence[int]) -> list[str]:
        if bad & set(batch):
            raise ValueError("no")
        return ["ok"] * len(batch)

    expected = [f"{i}: ValueError: no" if i in bad else "ok" for i in range(8)]
    assert Batcher(8).map(range(8), run, failed) == expected


def test_one_failing_item_among_many_takes_few_calls():
    calls = []

    def run(batch: Sequence[int]) -> list[str]:
        calls.append(len(batch))
        if 77 in batch:
            raise ValueError("no")
        return ["ok"] * len(batch)

    Batcher(128).map(range(128), run, failed)
    assert len(calls) == 15  # the whole, then two halves at each of seven levels


def test_an_error_that_breaks_the_process_is_passed_on():
    def run(batch: Sequence[int]) -> list[str]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(BrokenEngineError, match="illegal memory access"):
        Batcher(4).map(range(4), run, failed)


def test_an_error_that_concerns_all_items_is_passed_on_as_it_is():
    def run(batch: Sequence[int]) -> list[str]:
        raise PermissionError("the key is refused")

    with pytest.raises(PermissionError, match="the key is refused"):
        Batcher(4, fatal=(PermissionError,)).map(range(4), run, failed)


def test_what_counts_as_out_of_memory():
    class OutOfMemoryError(RuntimeError):
        pass

    assert is_out_of_memory(OutOfMemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not is_out_of_memory(ValueError("out of memory"))
