"""Many files are looked at side by side, in their order, few of them handed out at once."""

import threading
from collections.abc import Iterator

import pytest

from qibox.run import reading
from qibox.run.reading import READERS, side_by_side


def test_what_comes_is_in_order_and_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "HANDED_OUT", 20)
    assert list(side_by_side(str, range(50))) == [str(number) for number in range(50)]
    assert list(side_by_side(str, [])) == []


def test_as_many_as_there_are_readers_are_looked_at_at_once() -> None:
    together = threading.Barrier(READERS)  # broken after a while unless all come
    assert list(side_by_side(lambda _: together.wait(60) >= 0, range(READERS))) == [True] * READERS


def test_what_one_raises_comes_where_its_turn_is() -> None:
    def look(number: int) -> int:
        return 1 // number

    found: Iterator[int] = side_by_side(look, [1, 0, 1])
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
