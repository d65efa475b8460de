"""Farthest first is what looking at everybody each time gives, in any order of sums."""

import numpy as np
import pytest

from qibox.coverage import greedy
from qibox.coverage.greedy import Places, farthest_first
from qibox.coverage.vectors import LENGTH, MOST, Floats, whole


def one_by_one(rows: Floats, cells: Places, room: Places) -> list[int]:
    left = np.minimum(room, np.bincount(cells, minlength=len(room)))
    far, order = np.full(len(rows), np.inf), []
    while left.sum():
        could = np.where(left[cells] > 0, far, -1)
        could[order] = -1
        order.append(int(could.argmax()))
        left[cells[order[-1]]] -= 1
        far = np.minimum(far, ((rows - rows[order[-1]]) ** 2).sum(axis=1))
    return order


@pytest.mark.parametrize("decimals", [0, 2])  # 0: many are equally far
def test_it_is_what_looking_at_all_gives(monkeypatch: pytest.MonkeyPatch, decimals: int) -> None:
    monkeypatch.setattr(greedy, "FEW", 20)
    monkeypatch.setattr(greedy, "AT_ONCE", 7)
    rng = np.random.default_rng(decimals)
    for _ in range(30):
        count, width = rng.integers(3, 150), rng.integers(1, 6)
        rows = whole(np.round(rng.normal(size=(count, width)), decimals))
        cells, room = rng.integers(0, 3, count), rng.integers(0, count // 2 + 1, 3)
        assert farthest_first(rows, cells, room).tolist() == one_by_one(rows, cells, room)


def test_vectors_are_whole_and_of_one_length() -> None:
    made = whole(np.array([[3.0, 4.0], [0.0, 0.0], [-1e-9, 0.0]]))
    assert made.tolist() == [[1140, 1520], [0, 0], [-LENGTH, 0]]


def test_long_vectors_are_projected_and_keep_who_is_near() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 3 * MOST))
    made = whole(np.repeat(centres, 2, axis=0) + rng.normal(0, 0.1, (40, 3 * MOST)))
    assert made.shape == (40, MOST)
    assert (made == np.rint(made)).all()
    nearest = (made @ made.T - 1e9 * np.eye(40)).argmax(axis=1)
    assert (nearest // 2 == np.arange(40) // 2).all()
    # 20 of 40 that lie in pairs: one of each pair.
    order = farthest_first(made, np.zeros(40, np.int64), np.array([20]))
    assert len(set((order // 2).tolist())) == 20
