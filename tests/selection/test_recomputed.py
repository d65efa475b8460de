"""Any selection, computed a second time in pandas from the run's written tables."""

import hashlib
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qibox.errors import QiboxError, UsageError
from qibox.manifests.box import BoxManifest, Edge
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.frame import Frame, make_frame
from qibox.selection.request import OPEN_BOX, Request, Steering, at_random, by_box
from tests.runs import Row, sample, write_run

Key = Callable[["pd.Series[Any]"], Any]


def written(run: Run) -> pd.DataFrame:
    """Pool and scores side by side, as they lie on the disk; unknown strata are ``unknown``."""
    storage = run.storage
    pool, scores = (
        pd.concat(
            [
                storage.read_table(name).to_pandas()
                for name in storage.files(folder)
                if name.endswith("parquet")
            ]
        )
        for folder in ("pool", "scores")
    )
    columns = ["sample_id", "quality", "instability", "safe_rate", "safety_spread"]
    table = pool.merge(scores[columns], on="sample_id", how="left")
    table["number"] = table["severity"]
    table["severity"] = table["severity"].map(lambda s: "unknown" if pd.isna(s) else str(int(s)))
    table["known"] = table["risk"].notna()
    for column in ("risk", "category", "source"):
        table[column] = table[column].where(table[column].notna(), "unknown")
    table["risky"] = table["safe_rate"].map(
        lambda rate: "unknown" if pd.isna(rate) else "yes" if rate < 1 else "no"
    )
    table["risk+severity"] = table["risk"] + "+" + table["severity"]
    return table


# A condition as it is typed, and what it says of the table above.
CONDITIONS: dict[str, Callable[[pd.DataFrame], "pd.Series[bool]"]] = {
    "severity >= 2": lambda table: table["number"] >= 2,
    "risk <> 'none'": lambda table: table["known"] & (table["risk"] != "none"),
    "risky or quality > 5 -- or so": lambda table: (
        (table["safe_rate"] < 1) | (table["quality"] > 5)
    ),
}
# Weights likewise; not a number: not ranked.
WEIGHTS: dict[str, Callable[[pd.DataFrame], "pd.Series[float]"]] = {
    "severity * 2": lambda table: table["number"] * 2,
    "1 / (quality - 5)": lambda table: (1 / (table["quality"] - 5)).replace(math.inf, math.nan),
}


def edge(values: "pd.Series[float]", wanted: Edge) -> float:
    if wanted.quantile is None:
        assert wanted.value is not None
        return wanted.value
    return min(v for v in values if (values <= v).sum() / len(values) >= wanted.quantile)


def in_box(stratum: pd.DataFrame, box: BoxManifest) -> pd.DataFrame:
    q, u = stratum["quality"], stratum["instability"]
    low, high, least = edge(q, box.q_low), edge(q, box.q_high), edge(u, box.u_min)
    return stratum[(q >= low) & (q <= high) & (u >= least)]


def in_order(table: pd.DataFrame, request: Request) -> pd.DataFrame:
    if rank_of(request) != "random":
        return table.sort_values(["worth", "sample_id"], ascending=[False, True])
    drawn = [hashlib.md5(f"{request.seed}:{i}".encode()).hexdigest() for i in table["sample_id"]]
    if request.weights is None:
        return table.assign(drawn=drawn).sort_values("drawn")
    first = [(int(digits[:13], 16) + 0.5) / 16**13 for digits in drawn]
    keys = [math.log(u) / worth for u, worth in zip(first, table["worth"], strict=True)]
    return table.assign(drawn=keys).sort_values(["drawn", "sample_id"], ascending=[False, True])


def rank_of(request: Request) -> str:
    if request.random or request.box is None:
        return "random"
    return request.box.rank


def worth(table: pd.DataFrame, request: Request) -> "pd.Series[float]":
    """What each is ranked by; missing where it cannot be."""
    if request.weights is not None:
        weights = WEIGHTS[request.weights](table)
        return weights.where(weights > 0) if rank_of(request) == "random" else weights
    rank = rank_of(request)
    if rank == "random":
        return pd.Series(1.0, index=table.index)
    return table["safety_spread" if rank == "safety-spread" else rank]


def limited(passed: pd.DataFrame, request: Request, limit: int) -> set[str]:
    """The first of all strata, each by how far down its own stratum it stands."""
    ranked = in_order(passed, request).reset_index(drop=True)
    if request.within != "pool":
        groups = ranked.groupby(request.within.split(","))["sample_id"]
        ranked["depth"] = (groups.cumcount() + 0.5) / groups.transform("size")
        ranked = ranked.sort_values("depth", kind="stable")
    return set(ranked["sample_id"].head(limit))


def hamilton(weights: "pd.Series[Any]", total: int) -> "pd.Series[int]":
    exact = weights * Fraction(total) / weights.sum()
    given_ = exact.map(math.floor)
    order = (exact - given_).map(lambda rest: -rest).sort_values(kind="stable").index
    given_[order[: total - given_.sum()]] += 1
    return given_


def by_quota(
    pool: pd.DataFrame, passed: pd.DataFrame, frame: Frame, columns: Sequence[str], size: int
) -> tuple[int, Callable[[int, int], dict[str, int]]]:
    """What can be had of a stratum; and how many rows each innermost one gives.

    The latter of how many were wanted of the stratum, and how many it gives.
    """
    if not columns:
        place = "/".join(map(str, pool[list(frame.stratify)].iloc[0]))
        return len(passed), lambda _, number: {place: number}
    column, quota = columns[0], frame.quota.get(columns[0], "proportional")  # type: ignore[call-overload]
    counts = pool[column].value_counts().sort_index()
    parts = {
        value: by_quota(
            pool[pool[column] == value], passed[passed[column] == value], frame, columns[1:], size
        )
        for value in counts.index
    }
    weights = pd.Series(
        {
            value: Fraction(str(quota.get(value, 0)))
            if isinstance(quota, dict)
            else {
                "proportional": Fraction(int(count)),
                "sqrt": Fraction(math.sqrt(count)),
                "equal": Fraction(1),
            }[quota]
            for value, count in counts.items()
        },
        dtype=object,
    )
    has = pd.Series({value: part[0] for value, part in parts.items()})
    total = int(has[weights > 0].sum())

    def divide(wanted: int, number: int) -> dict[str, int]:
        wants = hamilton(weights, wanted)
        takes = wants.clip(upper=has)
        while takes.sum() < number:
            room = weights[(weights > 0) & (takes < has)]
            more = hamilton(room, int(number - takes.sum()))
            takes[room.index] = (takes[room.index] + more).clip(upper=has[room.index])
        found: dict[str, int] = {}
        for value, (_, inner) in parts.items():
            found |= inner(int(wants[value]), int(takes[value]))
        return found

    return total, divide


def considered(run: Run, request: Request) -> pd.DataFrame:
    table = written(run)
    return table if request.where is None else table[CONDITIONS[request.where](table)]


def refused(table: pd.DataFrame, request: Request) -> bool:
    """Whether more is asked for at random than has scores, or a quota names what is not there."""
    if request.random and request.random > table["quality"].notna().sum():
        return bool(table["quality"].notna().any())
    quotas = request.frame.quota.items() if request.frame else ()
    named = [(column, v) for column, quota in quotas if isinstance(quota, dict) for v in quota]
    return any(value not in set(table[column]) for column, value in named)


def recomputed(run: Run, request: Request) -> set[str]:
    table = considered(run, request)
    scored = table.dropna(subset=["quality", "instability"])
    passed = scored
    if request.box is not None:
        box = request.box
        whole = pd.Series("pool", index=scored.index)
        strata = scored.groupby(whole if request.within == "pool" else request.within.split(","))
        passed = pd.concat([scored[:0], *(in_box(stratum, box) for _, stratum in strata)])
    passed = passed.assign(worth=worth(passed, request)).dropna(subset=["worth"])
    if passed.empty:
        return set()
    limit = request.random or request.size or (request.box and request.box.limit) or len(passed)
    if request.frame is None:
        return limited(passed, request, limit)
    names = list(request.frame.stratify)
    total, divide = by_quota(table, passed, request.frame, names, limit)
    takes = divide(limit, min(total, limit))
    ranked = in_order(passed, request)
    values = ranked[names].itertuples(index=False)
    place = pd.Series(["/".join(row) for row in values], index=ranked.index, dtype=object)
    depth = ranked.groupby(place)["sample_id"].cumcount()
    return set(ranked["sample_id"][depth < place.map(takes)])


# Few distinct values, so that ties and values on an edge are common.
SCORES = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from([1.0, 2.5, 2.500001, 5.0, 10.0]), st.sampled_from([0.0, 1.0, 1.000001, 4.5])
    ),
)
SAMPLES = st.tuples(
    SCORES,
    st.sampled_from(["none", "explicit", "implicit", None]),
    st.sampled_from(["fire", "deep water", None]),
    st.sampled_from([1, 2, None]),
    st.sampled_from([0.0, 0.1, 0.100001, 0.5, None]),
    st.sampled_from([1.0, 0.9, 0.0]),
)
POOLS = st.lists(SAMPLES, min_size=1, max_size=16).filter(lambda pool: any(s[0] for s in pool))
VALUES = {"risk": ["none", "explicit", "implicit"], "category": ["'deep water'", "fire"]}


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    columns = draw(
        st.lists(
            st.sampled_from(["risk", "category", "severity", "risky", "risk+severity"]),
            min_size=1,
            max_size=3,
            unique=True,
        )
    )
    quotas = []
    for number, column in enumerate(columns):
        shares = ["proportional", "sqrt", "equal"]
        # Percentages on the outermost column alone always meet somebody.
        if number == 0 and column in VALUES:
            first, second, *_ = draw(st.permutations(VALUES[column]))
            percent = draw(st.sampled_from([100, 62.5, 33.3]))
            shares.append(f"{first}={percent}% {second}={round(100 - percent, 1)}%")
        quotas.append(f"{column}: {draw(st.sampled_from(shares))}")
    return make_frame(",".join(columns), quotas)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    within = draw(st.sampled_from(["pool", "risk", "category", "severity,risky"]))
    steering = Steering(
        where=draw(st.none() | st.sampled_from(list(CONDITIONS))),
        weights=draw(st.none() | st.sampled_from(list(WEIGHTS))),
    )
    common: dict[str, Any] = {"within": within, "seed": draw(st.integers(0, 9))}
    common["steering"] = steering
    size = draw(st.integers(1, 16))
    frame = draw(st.none() | frames())
    if draw(st.booleans()):
        return at_random(size, frame=frame, **common)
    band = sorted(draw(st.lists(st.sampled_from([0, 0.2, 0.5, 0.8, 1]), min_size=2, max_size=2)))
    edges = [Edge(quantile=share) for share in (*band, draw(st.sampled_from([0, 0.5])))]
    if draw(st.booleans()):
        edges = [Edge(value=1 + 9 * band[0]), Edge(value=1 + 9 * band[1]), Edge(value=1)]
    limit = draw(st.none() | st.integers(1, 16))
    ranks = ["instability", "random", *([] if steering.weights else ["safety-spread"])]
    rank = draw(st.sampled_from(ranks))
    made = dict(zip(("q_low", "q_high", "u_min"), edges, strict=True))
    box = OPEN_BOX.model_copy(update={**made, "limit": limit, "rank": rank})
    return by_box(box, frame=frame, size=size if frame else None, **common)


def rows_of(pool: list[Any]) -> list[Row]:
    return [
        sample(
            f"s{i:02d}",
            *(s or (None, None)),
            risk=r,
            category=c,
            severity=v,
            image=None,
            spread=spread if s else None,
            safe_rate=rate,
        )
        for i, (s, r, c, v, spread, rate) in enumerate(pool)
    ]


@settings(max_examples=50, deadline=None)
@given(POOLS, requests())
def test_a_selection_equals_its_recomputation(
    tmp_path_factory: pytest.TempPathFactory, pool: list[Any], request_: Request
) -> None:
    run = write_run(tmp_path_factory.mktemp("law"), rows_of(pool), shard_size=16)
    if refused(considered(run, request_), request_):
        with pytest.raises(UsageError):
            choose(run, request_)
        return
    expected = recomputed(run, request_)
    if not expected:
        with pytest.raises(QiboxError):
            choose(run, request_)
        return
    assert choose(run, request_).chosen.to_pylist() == sorted(expected)


@settings(max_examples=10, deadline=None)
@given(POOLS, st.permutations(range(16)), requests())
def test_neither_the_pools_order_nor_its_shards_decide_who_is_chosen(
    tmp_path_factory: pytest.TempPathFactory, pool: list[Any], order: list[int], request_: Request
) -> None:
    rows = rows_of(pool)
    shuffled = [rows[i] for i in order if i < len(rows)]
    chosen = []
    for number, given_ in enumerate((rows, shuffled)):
        run = write_run(tmp_path_factory.mktemp("order"), given_, shard_size=6 - 2 * number)
        try:
            chosen.append(choose(run, request_).chosen.to_pylist())
        except QiboxError as error:
            chosen.append([str(error.fields)])
    assert chosen[0] == chosen[1]
