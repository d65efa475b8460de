"""A choice without what is like a benchmark's samples, or like another chosen one.

Whoever is left out makes room for who comes next, who is compared in turn, until nobody new is
found. A chain of duplicates (a like b, b like c) leaves its first. Then variants are made of those
who are chosen, and compared with the benchmarks in their turn.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.augment import rephrased
from qibox.augment.settled import USUAL, Asking, settle
from qibox.catalog.connect import reading
from qibox.errors import QiboxError
from qibox.likeness.benchmarks import Benchmarks, benchmarks, looks
from qibox.likeness.compared import Finding, among, with_benchmark
from qibox.likeness.kept import pool_likeness
from qibox.likeness.near import plain
from qibox.run.directory import Run
from qibox.selection.choose import Choice, choose
from qibox.selection.request import Request
from qibox.selection.screen_variants import variants_like
from qibox.selection.screening import Screening
from qibox.selection.twins import HARMLESS

_FACTS = f"""
select sample_id, question,
       case when {HARMLESS} then 0 when risk = 'unknown' and risky = 'unknown' then 2 else 1 end
       as kind
from (select sample_id, question, coalesce(risk, 'unknown') as risk,
             case safe_rate < 1 when true then 'yes' when false then 'no' else 'unknown' end
             as risky
      from pool left join scores using (sample_id))
where sample_id in (select sample_id from chosen) order by sample_id
"""

Kinds = npt.NDArray[np.int64]  # 0 harmless, 1 risky, 2 unknown
Told = Callable[[str, int], None]  # what is looked at, and how many pictures of it are done


def screened(
    run: Run,
    request: Request,
    *,
    allow_overlap: bool = False,
    keep: bool = True,
    told: Told | None = None,
    asking: Asking | None = USUAL,
    rephrasing: rephrased.Told | None = None,
) -> Choice:
    """Choose as :func:`qibox.selection.choose.choose` does, but nobody who is like another.

    ``keep`` and ``told`` are about signatures: whether they are kept in the run, and who hears of
    their making. ``asking`` and ``rephrasing`` are about other wordings of questions: how models
    are asked for them (None: not at all), and who hears of it.

    Raises:
        QiboxError: as :func:`qibox.selection.choose.choose`; nobody is left; or as
            :func:`qibox.augment.rephrased.rephrased`.
    """
    settled = None
    if request.rephrase is not None and asking is not None:
        settled = settle(run, request.rephrase, request.seed, asking)
    count = None if told is None else (lambda done: told("pool", done))
    choice = choose(run, request, keep=keep, told=count)
    known = pool_likeness(run, keep=keep, told=count)
    held_out = benchmarks(run, keep=keep, told=told)
    seen = _Seen(run, known, held_out)
    while seen.compare(choice.chosen, allow_overlap):
        try:
            choice = choose(run, request, seen.left_out(allow_overlap), keep=keep)
        except QiboxError as error:
            raise QiboxError(
                f"nobody is left to choose: {len(seen.overlaps)} samples are like a benchmark's "
                f"and {len(seen.duplicates)} like another one: widen the box or the quotas, or "
                "allow the overlap",
                fields=["allow_overlap"],
            ) from error
    augment = choice.augment
    if augment is not None and settled is not None:
        found = rephrased.rephrased(run, settled, choice.chosen, rephrasing)
        augment = replace(augment, rephrased=found)
    variants: tuple[Finding, ...] = ()
    if augment is not None:
        variants = tuple(variants_like(run, choice.chosen, known, augment, held_out))
        gone = () if allow_overlap else (each.sample_id for each in variants)
        augment = replace(augment, left_out=frozenset(gone))
    screening = replace(seen.screening(choice.chosen, allow_overlap), variants=variants)
    return replace(choice, augment=augment, screening=screening)


class _Seen:
    """What was compared so far, and what came of it."""

    def __init__(self, run: Run, known: pa.Table, held_out: Benchmarks) -> None:
        self.run, self.known, self.held_out = run, known, held_out
        self.compared: set[str] = set()
        self.overlaps: list[Finding] = []
        self.duplicates: list[Finding] = []
        self.near: set[str] = set()  # whose picture alone is near a benchmark's

    def left_out(self, allow_overlap: bool) -> set[str]:
        """Who is not to be chosen."""
        found = self.duplicates if allow_overlap else [*self.overlaps, *self.duplicates]
        return {each.sample_id for each in found}

    def screening(self, chosen: pa.Array, allow_overlap: bool) -> Screening:
        """What came of it for those who are chosen in the end."""
        return Screening(
            tuple(self.overlaps),
            tuple(self.duplicates),
            len(self.near & set(chosen.to_pylist())),
            {each.name: len(each.rows) for each in self.held_out.here},
            self.held_out.unchecked,
            allow_overlap,
        )

    def compare(self, chosen: pa.Array, allow_overlap: bool) -> bool:
        """Compare whoever was not compared yet; whether anybody is to be left out."""
        fresh = set(chosen.to_pylist()) - self.compared
        self.compared |= fresh
        rows, kinds = _looked_up(self.run, chosen, self.known)
        ids: list[str] = rows["sample_id"].to_pylist()
        new = [at for at, name in enumerate(ids) if name in fresh]
        part = rows.take(pa.array(new, pa.int64()))
        found: dict[str, Finding] = {}
        for benchmark in self.held_out.here:
            among_these = with_benchmark(part["sample_id"].to_pylist(), looks(part, 1), benchmark)
            found = {each.sample_id: each for each in among_these.findings} | found
            self.near |= among_these.near_pictures
        twice = [e for e in among(ids, looks(rows, 1), kinds, new) if e.sample_id not in found]
        self.overlaps += found.values()
        self.duplicates += twice
        return bool(twice or (found and not allow_overlap))


def _looked_up(run: Run, chosen: pa.Array, known: pa.Table) -> tuple[pa.Table, Kinds]:
    """What the chosen samples look like, by sample_id, and of which kind each is."""
    with reading(run, ("pool", "scores")) as connection:
        connection.register("chosen", pa.table({"sample_id": chosen}))
        facts = connection.sql(_FACTS).to_arrow_table()
    place = pc.index_in(facts["sample_id"], value_set=known["sample_id"].combine_chunks())
    mine = known.take(place)
    questions = [plain(question) for question in facts["question"].to_pylist()]
    columns = {
        "sample_id": facts["sample_id"],
        "question": pa.array(questions, pa.string()),
        "blank": mine["picture"].is_null(),
        "signature": mine["signature"],
    }
    return pa.table(columns), facts["kind"].to_numpy().astype(np.int64)
