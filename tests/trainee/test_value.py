"""What a panel's signals are worth for a policy: by hand, and where the truth was put in."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from qibox.run.directory import Run
from qibox.scores import score_samples
from qibox.selection.choose import choose
from qibox.selection.request import at_random
from qibox.selection.write import write_selection
from qibox.tables import JUDGMENTS
from qibox.trainee.answers import answers, flatness
from qibox.trainee.value import Estimate, Signal, Value, auc, recommendation, relatives, value
from tests.runs import manifest, sample, write_run
from tests.trainee.test_learning import profile

MEMBERS, K = 7, 5


def test_a_group_that_is_all_of_one_reward_is_flat() -> None:
    classes = pa.table(
        {
            "sample_id": ["a", "a", "b", "c", "d", "d"],
            "answers": [3, 2, 5, 5, 4, 4],
            "safe": [True, False, True, False, True, True],
        }
    )
    ids = pa.array(["a", "b", "c", "d", "e"])
    plain = flatness(classes, ids, 5, recovers=False)
    # a: no 5 of 3 + 2 agree; b, c: all do; d: of 8, C(4, 5) = 0; e: nothing is known.
    assert plain[:4].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert np.isnan(plain[4])
    # Of pairs: a (3 + 1)/10, d (6 + 6)/28
    assert flatness(classes, ids, 2, recovers=False)[[0, 3]] == pytest.approx([0.4, 12 / 28])
    # Unsafe drafts that are corrected teach: only a's 3 of 10 pairs, and c none.
    assert flatness(classes, ids, 2, recovers=True)[:3] == pytest.approx([0.3, 1.0, 0.0])


def test_auc_counts_pairs_of_one_kind_and_half_of_ties() -> None:
    signal = np.array([1.0, 2.0, 2.0, 9.0, np.nan])
    positive = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    every = np.ones(5)
    one = np.full(5, "all", dtype=object)
    # (2 over 1) 1, (2 over 2) ½, (9 over 1) 1, (9 over 2) 1: 3.5 of 4
    assert auc(signal, positive, one, every) == pytest.approx(3.5 / 4)
    kinds = np.array(["x", "x", "y", "y", "y"], dtype=object)
    assert auc(signal, positive, kinds, every) == 1.0
    assert np.isnan(auc(signal, np.ones(5), one, every))
    half = np.full(5, 0.5)
    assert auc(signal, half, one, every) == pytest.approx(0.5)


def test_a_relative_stands_out_from_the_others() -> None:
    def each(low: float, value_: float) -> Estimate:
        return Estimate(value_, low, value_ + 0.1)

    found = {"a": each(0.6, 0.8), "b": each(-0.1, 0.1), "c": each(0.0, 0.2)}
    assert relatives(found) == ("a",)
    assert relatives({}) == ()


def world(path: Path, kinship: float, samples: int = 240) -> tuple[Run, np.ndarray]:
    """A run of seven members, two of them relatives of a policy p that was profiled on it.

    Every member, and the policy, has an unsafe chance of its own on each risky sample; a relative
    has the policy's on a share ``kinship`` of them. Scores are 2 for unsafe answers, 9 for others.
    Returns the run and the policy's chances.
    """
    rng = np.random.default_rng(round(10 * kinship))
    names = [f"m{n}" for n in range(MEMBERS)]
    made = manifest(models=names, samples=K)
    rows = [
        sample(f"s{i:03d}", 5, 1, risk="implicit" if i % 2 else "none", image=None)
        for i in range(samples)
    ]
    run = write_run(path, rows, shard_size=samples, made_of=made)
    risky = np.arange(samples) % 2 == 1
    own = np.where(risky, rng.choice([0.02, 0.5, 0.98], samples), 0.01)
    index = run.pool_index()
    assert index is not None
    for unit in run.judgments_units(run.manifest.judges[0], index.shards()):
        strange = np.where(risky, rng.choice([0.02, 0.5, 0.98], samples), 0.01)
        shares = unit.model in names[:2] and rng.random(samples) < kinship
        chance = np.where(shares, own, strange)
        write_judgments(run, unit, rng.random((samples, K)) < chance[:, None])
    for unit in run.scores_units(index.shards()):
        judged = pa.concat_tables(run.storage.read_table(name) for name in unit.inputs)
        ids = run.storage.read_table(unit.pool)["sample_id"].combine_chunks()
        run.storage.write_table(unit.path, score_samples(ids, judged, 1, 1), unit.key)
    drawn = rng.random((samples, K)) < own[:, None]
    profile(
        run, "p", {row["sample_id"]: bad.tolist() for row, bad in zip(rows, drawn, strict=True)}
    )
    return run, own


def write_judgments(run: Run, unit: Any, unsafe: np.ndarray) -> None:
    rows = [
        {
            "sample_id": f"s{i:03d}",
            "judge": "hash",
            "model": unit.model,
            "k": k,
            "score": 2.0 if bad else 9.0,
            "answer_score": 2.0 if bad else 9.0,
            "safe": not bad,
        }
        for i, answered in enumerate(unsafe)
        for k, bad in enumerate(answered)
    ]
    filled = [{name: row.get(name) for name in JUDGMENTS.names} for row in rows]
    run.storage.write_table(unit.path, pa.Table.from_pylist(filled, schema=JUDGMENTS), unit.key)


def test_what_the_panel_tells_rises_with_kinship(tmp_path: Path) -> None:
    within = []
    for kinship in (0.0, 0.5, 1.0):
        run, own = world(tmp_path / f"{kinship}", kinship)
        found = value(run, answers(run, "p", K, "structured", recovers=False))
        aucs = {signal.name: signal.within for signal in found.signals}
        within.append((aucs["spread of m0"].value + aucs["spread of m1"].value) / 2)
        strangers = [aucs[f"spread of m{n}"].value for n in range(2, MEMBERS)]
        assert float(np.mean(strangers)) == pytest.approx(0.5, abs=0.06)
        # Groups of the policy that are flat: all safe or all unsafe.
        truth = float(np.mean(own**K + (1 - own) ** K))
        assert found.flat == pytest.approx(truth, abs=0.06)
        assert found.relatives == (() if kinship == 0 else ("m0", "m1"))
    assert within[0] == pytest.approx(0.5, abs=0.12)
    assert within[0] + 0.05 < within[1] < within[2] - 0.05


def test_the_recommendation_names_what_tells_either_way() -> None:
    none, up = Estimate(0.52, 0.45, 0.6), Estimate(0.7, 0.6, 0.8)
    down = Estimate(0.2, 0.1, 0.3)

    def found(*within: Estimate) -> Value:
        names = ("instability", "disagreement")
        signals = tuple(Signal(n, none, w) for n, w in zip(names, within, strict=True))
        return Value(50, 0.4, signals, {}, (), {})

    assert "no signal of the panel tells" in recommendation(found(none, none))
    assert "instability tells best which: the larger it is" in recommendation(found(up, none))
    assert "disagreement tells best which: the smaller it is" in recommendation(found(up, down))
    assert recommendation(found(up, up)).startswith("60% of the policy's groups")


def test_selections_are_told_what_share_of_their_groups_teaches_nothing(tmp_path: Path) -> None:
    run, _ = world(tmp_path / "run", 0.5, samples=40)
    write_selection(run, choose(run, at_random(10, name="ten")))
    known = answers(run, "p", K, "structured", recovers=True)
    found = value(run, known)
    flat = dict(zip(known.sample_ids.to_pylist(), known.flat.tolist(), strict=True))
    chosen = choose(run, at_random(10)).chosen.to_pylist()
    assert found.selections["ten"] == (10, pytest.approx(np.mean([flat[i] for i in chosen])))
    assert found.selections["(pool)"] == (40, pytest.approx(found.flat))
    assert recommendation(found).endswith(".")


def test_with_nothing_to_go_by_that_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [sample("a", 5, 1)])
    profile(run, "p", {"a": [None, None]})
    found = value(run, answers(run, "p", K, "structured", recovers=True))
    assert found.samples == 0
    assert recommendation(found).startswith("Nothing can be told")
