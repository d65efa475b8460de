"""Ctrl-C and its kin at random moments: a status, one sentence, and nothing left behind."""

import signal
from pathlib import Path

import pytest

from tests.tools.interrupts import Kind, Number, interrupt, kinds


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    return kinds(tmp_path_factory.mktemp("worlds"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "moment"),
    [
        ("score, models", 3.0),
        ("score, threads", 3.0),
        ("train", 9.0),
        ("eval", 2.5),
        ("select", 0.5),
        ("sql", 2.0),
    ],
)
def test_an_interrupted_command_ends_in_order(
    every: dict[str, Kind], tmp_path: Path, kind: str, moment: float
) -> None:
    outcome = interrupt(every[kind], moment, tmp_path / "own")
    assert outcome.faults == []
    assert outcome.status in (0, 130)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_signals_end_a_query_as_well(
    every: dict[str, Kind], tmp_path: Path, number: Number, status: int
) -> None:
    outcome = interrupt(every["sql"], 2.0, tmp_path / "own", number)
    assert outcome.faults == []
    assert outcome.status == status


def test_a_second_signal_ends_at_once(every: dict[str, Kind], tmp_path: Path) -> None:
    outcome = interrupt(every["score, models"], 4.0, tmp_path / "own", times=2)
    assert outcome.faults == []
    assert outcome.status in (130, -signal.SIGINT)  # the latter while the interpreter ends
