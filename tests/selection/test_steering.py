"""Conditions, ranks of one's own, twins, the nearest box: hand-made pools with known answers."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qibox.errors import QiboxError, UsageError
from qibox.manifests.box import Edge
from qibox.run.directory import Run
from qibox.selection.choose import Choice, choose
from qibox.selection.frame import make_frame
from qibox.selection.lineage import lineage
from qibox.selection.notes import steering, warnings
from qibox.selection.request import OPEN_BOX, Steering, at_random, by_box
from tests.runs import png, sample, write_run


def asked(run: Run, low: float = 1, high: float = 10, least: float = 0, **more: Any) -> Choice:
    given_ = {name: more.pop(name) for name in ("limit", "rank") if name in more}
    edges = {"q_low": Edge(value=low), "q_high": Edge(value=high), "u_min": Edge(value=least)}
    frame, size = more.pop("frame", None), more.pop("size", None)
    box = OPEN_BOX.model_copy(update={**edges, **given_})
    return choose(run, by_box(box, frame=frame, size=size, steering=Steering(**more)))


def ids(choice: Choice) -> list[str]:
    found: list[str] = choice.chosen.to_pylist()
    return found


@pytest.fixture
def ladder(tmp_path: Path) -> Run:
    """Quality 1 … 6, instability 3 … 0.5, severity 0 … 2 twice over; g has no scores."""
    rows = [
        sample(name, 1.0 + i, 3.0 - i / 2, severity=i % 3, spread=(i * 7 % 6) / 10)
        for i, name in enumerate("abcdef")
    ]
    return write_run(tmp_path / "run", [*rows, sample("g", None, None)])


def test_a_condition_makes_a_smaller_pool(ladder: Run) -> None:
    choice = asked(ladder, where="severity > 0 or quality = 1")
    assert ids(choice) == list("abcef")
    # g has severity 1 and no scores; all seven lie in the pool, of which d alone does not meet it.
    assert (choice.samples, choice.met, choice.scored) == (7, 6, 5)
    assert sum(row.before for row in choice.mix if row.dimension == "risk") == 6


def test_quantiles_are_of_those_that_meet_the_condition(ladder: Run) -> None:
    box = OPEN_BOX.model_copy(update={"q_low": Edge(quantile=0.5)})
    choice = choose(ladder, by_box(box, steering=Steering(where="quality > 2")))
    assert ids(choice) == list("def")  # of 3, 4, 5, 6 half are ≤ 4


def test_a_condition_may_ask_other_views(ladder: Run) -> None:
    unsafe = "sample_id in (select sample_id from judgments where not safe and sample_id < 'c')"
    assert ids(asked(ladder, where=unsafe)) == ["a", "b"]


def test_weights_rank_and_pass_over_what_has_none(ladder: Run) -> None:
    choice = asked(ladder, weights="case when sample_id <> 'f' then quality end", limit=2)
    assert ids(choice) == ["d", "e"]
    assert choice.unranked == 1
    assert any("1 samples cannot be ranked by weights" in w for w in warnings(choice))


def test_safety_spread_ranks_and_is_counted_where_older_scores_lack_it(ladder: Run) -> None:
    # (i · 7 mod 6)/10 is .0 .1 .2 .3 .4 .5 from a to f
    assert ids(asked(ladder, rank="safety-spread", limit=2)) == ["e", "f"]
    for name in ladder.storage.files("scores"):
        table = ladder.storage.read_table(name).drop_columns(["safety_spread"])
        ladder.storage.write_table(name, table, ladder.storage.table_key(name))
    # tests/runs.py: the first model's two answers are both safe, the second's only one is unsafe,
    # and one answer cannot differ from itself: 0 everywhere, so the ids decide.
    assert ids(asked(ladder, rank="safety-spread", limit=2)) == ["a", "b"]


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("where", "random() < 0.5", "random gives another value each time"),
        ("where", "current_date > '2020-01-01'", "current_date gives another value each time"),
        ("where", "quality", "'quality' is a DOUBLE, not a condition"),
        ("where", "hue > 1", 'column "hue" not found'),
        ("where", "true; drop table pool", "one statement"),
        ("where", "true) or (true", "syntax error"),
        ("where", "quality > 1 order by 1", "one expression"),
        ("where", "1 = 1 from pool", "one expression"),
        ("where", "*", "without \\*"),
        ("where", "sample_id in (select sample_id from pool using sample 1)", "differs each time"),
        ("where", "(select true from read_csv('/etc/passwd'))", "disabled"),
        ("weights", "risk", "'risk' is a VARCHAR, not a number"),
        ("weights", "", "no condition or value"),
    ],
)
def test_an_expression_only_reads_and_is_the_same_each_time(
    ladder: Run, field: str, text: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        asked(ladder, **{field: text})
    assert caught.value.fields == (field,)


def test_a_rank_without_any_value_says_what_to_do(ladder: Run) -> None:
    with pytest.raises(QiboxError, match="none of the 6 samples that could be chosen has a weight"):
        asked(ladder, weights="null::double")
    with pytest.raises(QiboxError, match="has a weight by '-1' above 0: give another"):
        choose(ladder, at_random(2, steering=Steering(weights="-1")))
    with pytest.raises(UsageError, match=r"no policy was profiled on .*`qibox profile .* asks one"):
        asked(ladder, rank="trainee")
    with pytest.raises(UsageError, match="weights are a rank of their own"):
        asked(ladder, rank="trainee", weights="quality")


def test_where_kinds_are_unknown_the_panels_answers_tell_risky_from_harmless(
    tmp_path: Path,
) -> None:
    rows = [
        sample(f"s{i}", 5, 1 + i / 10, risk=None, safe_rate=1.0 if i < 4 else 0.9) for i in range(8)
    ]
    run = write_run(tmp_path, [*rows, sample("t", None, None, risk=None)])
    frame = make_frame("risky", ["risky: yes=25% no=75%"])
    choice = asked(run, frame=frame, size=4)
    assert ids(choice) == ["s1", "s2", "s3", "s7"]
    assert [(r.values[0], r.pool, r.chosen) for r in choice.quotas] == [
        ("no", 4, 3),
        ("unknown", 1, 0),
        ("yes", 4, 1),
    ]
    with pytest.raises(UsageError, match="it has unknown, so stratify by risky"):
        asked(run, frame=make_frame("risk", ["risk: implicit=100%"]), size=4)


def test_columns_joined_have_quotas_as_pairs(ladder: Run) -> None:
    frame = make_frame("risk+severity", ["risk+severity: none+0=50% none+2=50%"])
    choice = asked(ladder, frame=frame, size=2)
    assert ids(choice) == ["a", "c"]
    assert lineage(ladder, choice)["strata"][0]["risk+severity"] == "none+0"
    with pytest.raises(UsageError, match="no strata by 'risk\\+risk'"):
        make_frame("risk+risk")


def test_the_nearest_box_gives_what_is_missing_and_no_more_than_it_must(ladder: Run) -> None:
    # Q 3 to 4 and U ≥ 2: c (Q 3, U 2). d (4, 1.5) lies .5/4.5 = .111 outside, b (2, 2.5) 1/9 =
    # .111 as well, a and e 2/9. So two are given by a box that holds b, c and d.
    choice = asked(ladder, 3, 4, 2, limit=2)
    assert ids(choice) == ["c"]
    assert choice.nearest is not None
    (found,) = choice.nearest.boxes
    assert (found.box.q_low, found.box.q_high, found.box.u_min) == (2.0, 4.0, 1.5)
    assert (choice.nearest.gives, choice.nearest.enough) == (3, True)
    assert ids(asked(ladder, 2, 4, 1.5, limit=2)) == ["b", "c"]
    assert "1 samples remain of the 2 asked for" in list(warnings(choice))
    assert "the nearest box that gives them is Q 2 to 4, U from 1.5" in list(warnings(choice))
    assert lineage(ladder, choice)["nearest"]["gives"] == 3


def test_no_box_gives_more_than_there_is(ladder: Run) -> None:
    choice = asked(ladder, 3, 4, 2, limit=7)
    assert choice.nearest is not None
    assert (choice.nearest.gives, choice.nearest.enough) == (6, False)
    assert any(w.startswith("no box gives them") for w in warnings(choice))


def test_in_a_frame_the_nearest_box_fills_each_stratum(tmp_path: Path) -> None:
    rows = [sample(f"e{i}", 5, i / 2, risk="explicit") for i in range(4)]
    rows += [sample(f"n{i}", 5, 2 + i / 2) for i in range(4)]
    run = write_run(tmp_path, rows)
    frame = make_frame("risk", ["risk: explicit=50% none=50%"])
    # With U ≥ 1.5 e3 alone is explicit; of four, two are wanted, and e2 has U 1.
    choice = asked(run, least=1.5, frame=frame, size=4)
    assert choice.nearest is not None
    assert choice.nearest.boxes[0].box.u_min == 1.0
    again = asked(run, least=1.0, frame=frame, size=4)
    assert again.nearest is None
    assert ids(again) == ["e2", "e3", "n2", "n3"]


def pictures(count: int) -> list[bytes]:
    return [png(60 * i) for i in range(count)]


def test_twins_share_picture_or_question_with_a_chosen_risky_sample(tmp_path: Path) -> None:
    one, two, three = pictures(3)
    rows = [
        sample("r1", 5, 4, risk="implicit", question="may i ?", image=one),
        sample("r2", 5, 1, risk="implicit", question="how so ?", image=two),
        sample("t1", 10, 0, question="may i ?", image=three),
        sample("t2", 10, 0, question="what is it ?", image=one),
        sample("other", 10, 0, question="how so ?", image=two),  # like r2, which is not chosen
        sample("unscored", None, None, question="may i ?", image=three),
    ]
    run = write_run(tmp_path, rows)
    choice = asked(run, least=2, limit=3, twins=60)  # .6 of 3 is 1.8: two twins, though U is 0
    assert ids(choice) == ["r1", "t1", "t2"]
    assert choice.twins is not None
    assert (choice.twins.wanted, choice.twins.available, choice.twins.chosen) == (2, 2, 2)
    assert any("2 harmless samples that share" in sentence for sentence in steering(choice))
    assert choice.by_stratum == {"pool": (1, 1)}
    # Without a number, beside all that the box holds: one and 1 · .6/.4 = 1.5, so two.
    assert ids(asked(run, least=2, twins=60)) == ["r1", "t1", "t2"]
    with pytest.raises(UsageError, match="of 1 samples 60% twins leave none"):
        asked(run, least=2, limit=1, twins=60)


def test_where_twins_run_out_the_others_make_up_for_them(tmp_path: Path) -> None:
    rows = [sample(f"r{i}", 5, 3 - i / 10, risk="implicit") for i in range(6)]
    run = write_run(tmp_path, [*rows, sample("t", 10, 0, question="what is in r5 ?", image=None)])
    choice = asked(run, limit=4, twins=50)
    assert ids(choice) == ["r0", "r1", "r2", "r3"]  # r5, whose twin there is, is not among them
    assert choice.twins is not None
    assert choice.twins.chosen == 0
    assert "0 of 2 twins: no more harmless samples are like these" in list(warnings(choice))


QUESTIONS = ["may i ?", "how so ?", "what now ?"]
LIKE = st.tuples(
    st.sampled_from(["none", "implicit", None]),
    st.sampled_from([1.0, 0.5]),  # share of safe answers
    st.sampled_from(QUESTIONS),
    st.sampled_from([*range(3), None]),  # which picture
)


@settings(max_examples=15, deadline=None)
@given(st.lists(LIKE, min_size=2, max_size=12), st.integers(2, 8), st.integers(0, 3))
def test_twins_equal_their_recomputation(
    tmp_path_factory: pytest.TempPathFactory, pool: list[Any], size: int, seed: int
) -> None:
    drawn = pictures(3)
    rows = [
        sample(
            f"s{i:02d}",
            5,
            1 + i / 20,
            risk=risk,
            safe_rate=rate,
            question=question,
            image=None if which is None else drawn[which],
        )
        for i, (risk, rate, question, which) in enumerate(pool)
    ]
    run = write_run(tmp_path_factory.mktemp("twins"), rows, shard_size=12)
    request = at_random(min(size, len(rows)), seed=seed, steering=Steering(twins=50))
    found = choose(run, request)

    def md5(name: str) -> str:
        return hashlib.md5(f"{seed}:{name}".encode()).hexdigest()

    order = sorted((row["sample_id"] for row in rows), key=md5)
    by_id = {row["sample_id"]: row for row in rows}
    wanted = int(min(size, len(rows)) / 2 + 0.5)

    def risky(row: dict[str, Any]) -> bool:
        if row["risk"] is None:
            return bool(row["safe_rate"] < 1)
        return bool(row["risk"] != "none")

    def like(main: list[str]) -> list[str]:
        places: dict[str, float] = {}
        for part in ("question", "image"):
            for value in [row[part] for row in rows if row[part] is not None]:
                same = [name for name in order if by_id[name][part] == value]
                partners = sum(risky(by_id[name]) for name in same if name in main)
                mates = [n for n in same if n not in main and not risky(by_id[n])]
                for number, name in enumerate(mates, start=1):
                    if partners:
                        at = (number - 0.5) / partners
                        places[name] = min(at, places.get(name, at))
        return sorted(places, key=lambda name: (places[name], md5(name)))

    total = min(size, len(rows))
    main = order[: total - wanted]
    if not main:
        return
    if len(like(main)) < wanted:
        main = order[: total - len(like(main))]
    expected = [*main, *like(main)[: min(wanted, total - len(main))]]
    assert found.chosen.to_pylist() == sorted(expected)
