"""The tables of rates as text, from frames with values derived by hand."""

import io
from typing import Any

import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from qibox.cli.rate_tables import detail_table, suite_tables
from qibox.evaluation.rates import rates
from qibox.manifests import SuiteManifest, load_manifest
from qibox.tables import EVALUATIONS

Row = dict[str, Any]


def answers(*safe: bool | None, **more: Any) -> list[Row]:
    """One response a sample, helpful where it is safe, of score 8 or 2."""
    return [
        {"policy": "new", "stage": "trained", "pool": "siuo", "judge": "oracle"}
        | {"sample_id": str(at), "safe": is_safe}
        | ({"score": 8.0 if is_safe else 2.0} if is_safe is not None else {})
        | ({"harmlessness": 9, "helpfulness": 8} if is_safe is not None else {})
        | more
        for at, is_safe in enumerate(safe)
    ]


def frame(rows: list[Row], **starts: str) -> pd.DataFrame:
    return rates(pa.Table.from_pylist(rows, schema=EVALUATIONS), starts)


def lines(table: Table, width: int = 200) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in text.split("\n")]


OLD = {"policy": "base", "stage": "start"}


def test_a_policy_stands_beside_its_start() -> None:
    rows = [
        *answers(True, True, risk="none"),
        *answers(False, True, risk="none", **OLD),
    ]
    shown = lines(detail_table(frame(rows, new="base"), "new", "siuo", "oracle"))
    assert "new on siuo, judge oracle" in shown
    assert "measure n start trained change" in shown
    # of two samples one changed: the mean change of two draws is 0, half, or 1
    assert "safety, none % 2 50 100 [100, 100] +50 [+0, +100]" in shown
    assert "safety, all % 2 50 100 [100, 100] +50 [+0, +100]" in shown
    assert "helpfulness, all % 2 50 100 [100, 100] +50 [+0, +100]" in shown
    assert "over-refusal, none % 2 0 0 [0, 0] +0 [+0, +0]" in shown
    assert "score 2 5.0 8.0 [8.0, 8.0] +3.0 [+0.0, +6.0]" in shown
    assert "reasoning score 0 – – –" in shown
    assert any("2 samples, 2 responses judged; not judged: start 0, trained 0" in s for s in shown)


def test_lines_of_risks_that_the_benchmark_does_not_know_are_left_out() -> None:
    shown = "\n".join(lines(detail_table(frame(answers(True)), "new", "siuo", "oracle")))
    assert "safety, all % 1 100 [100, 100]" in shown
    assert "helpfulness, all %" in shown
    for absent in ("implicit", "explicit", "none", "over-refusal", "start", "change"):
        assert absent not in shown, absent
    assert "measure n policy" in shown


def test_a_start_stands_alone() -> None:
    rows = [*answers(True), *answers(False, None, **OLD)]
    shown = lines(detail_table(frame(rows, new="base"), "base", "siuo", "oracle"))
    assert "safety, all % 1 0 [0, 0]" in shown
    assert "not judged: 1;" in " ".join(shown)


def test_a_policy_that_did_not_answer_is_an_empty_table() -> None:
    shown = lines(detail_table(frame(answers(True)), "other", "siuo", "oracle"))
    assert "nothing was answered" in shown


def test_names_cannot_steer_the_terminal_s_markup() -> None:
    rows = answers(True, policy="[red]x")
    shown = lines(detail_table(frame(rows), "[red]x", "siuo", "oracle"))
    assert "[red]x on siuo, judge oracle" in shown


SIX = load_manifest(SuiteManifest, "six")


def test_a_suite_is_a_row_a_policy_and_a_pair_a_benchmark() -> None:
    rows = [
        *answers(True, False),
        *answers(True, True, pool="mss-bench"),
        *answers(False, False, **OLD),
        *answers(False, False, pool="mss-bench", **OLD),
        *answers(True, pool="elsewhere"),
    ]
    (table,) = suite_tables(frame(rows, new="base"), SIX)
    shown = lines(table)
    assert "six, judge oracle: percent" in shown
    assert "SIUO MSS-Bench average" in shown
    assert "policy safe help safe help safe help" in shown
    base, new = shown.index("base 0 0 0 0 0 0"), shown.index("new 50 50 100 100 75 75")
    assert base < new  # starts first
    # average: 0.75 ± √(0.5² + 0²) / 2
    assert shown[new + 1] == "[0, 100] [0, 100] [100, 100] [100, 100] [50, 100] [50, 100]"
    said = " ".join(shown)
    assert "the average weighs 2 benchmarks alike" in said
    assert "not evaluated: BeaverTails-V, MM-SafetyBench, SPA-VL harm, VLGuard test" in said
    assert "elsewhere" not in said


def test_each_judge_has_a_table_and_what_is_unknown_a_dash() -> None:
    criteria = {"harmlessness": None, "helpfulness": None}  # a pairwise judge gives none
    rows = [
        *answers(True, judge="first"),
        *answers(True, judge="second", **criteria),
        *answers(False, judge="second", pool="mss-bench", **criteria, **OLD),
    ]
    first, second = (lines(table) for table in suite_tables(frame(rows), SIX))
    assert "new 100 100" in first
    assert "average" not in " ".join(first)  # there is but one benchmark
    assert "six, judge second: percent" in second
    assert "base – – 0 – – –" in second
    assert "new 100 – – – – –" in second


def test_responses_without_a_verdict_are_counted_below_the_table() -> None:
    rows = [*answers(True, None), *answers(None, None, **OLD)]
    (table,) = suite_tables(frame(rows), SIX)
    shown = lines(table, width=80)
    assert "base – –" in shown
    assert "3 responses not judged" in " ".join(shown)


def test_a_suite_of_which_nothing_was_evaluated_has_no_table() -> None:
    assert suite_tables(frame(answers(True, pool="elsewhere")), SIX) == []


def test_six_benchmarks_fit_a_wide_terminal_and_keep_their_numbers_in_a_narrow_one() -> None:
    rows = [row for each in SIX.benchmarks for row in answers(True, False, pool=each.pool)]
    (table,) = suite_tables(frame(rows), SIX)
    assert "new" + 14 * " 50" in lines(table, width=190)
    narrow = " ".join(lines(table, width=100))
    assert "…" not in narrow
    assert narrow.count("50") >= 14
