"""A selection's rows with their variants.

A variant is a row like its sample's in all but picture or question; its sample_id is the sample's
with a mark after it, and ``variant_of`` names the sample. It is trained on and nothing else: it is
in no pool, so nobody scores it, chooses it, or evaluates on it. One that is like a benchmark's
sample is left out (:mod:`qibox.selection.screen_variants`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from qibox.augment.paraphrases import Paraphrases
from qibox.augment.pictures import CUT, LIGHT, QUALITY, picture_variant, pillow
from qibox.augment.rephrased import Rephrased
from qibox.manifests.panel import PanelManifest
from qibox.selection.prompting import prompts
from qibox.selection.read import first_images
from qibox.tables import AUGMENTED

REFUSED = "refused.parquet"  # beside the card: wordings that do not ask the same

_MARK = re.compile(r"~(picture|question|rephrased)-\d+$")


@dataclass(frozen=True)
class Augment:
    """Which variants are made of each chosen sample."""

    pictures: int  # of each that has one
    paraphrases: Paraphrases | None
    seed: int
    rephrased: Rephrased | None = None
    left_out: frozenset[str] = frozenset()  # variants that are not written

    @property
    def lineage(self) -> dict[str, Any]:
        """What determines the variants."""
        found: dict[str, Any] = {"seed": self.seed}
        if self.pictures:
            limits = {"cut": CUT, "light": LIGHT, "quality": list(QUALITY), "pillow": pillow()}
            found["pictures"] = {"each": self.pictures, **limits}
        if self.paraphrases is not None:
            found["paraphrases"] = self.paraphrases.lineage
        if self.rephrased is not None:
            found["rephrased"] = self.rephrased.lineage
        return found


def sample_of(sample_id: str) -> str:
    """The sample that a selection's row is of, itself or a variant."""
    return _MARK.sub("", sample_id)


def with_variants(table: pa.Table, augment: Augment, panel: PanelManifest) -> pa.Table:
    """Rows of :data:`qibox.tables.AUGMENTED`: those of a selection, each followed by its variants.

    Other wordings are put into the panel's prompt as the questions were.
    """
    ids = table["sample_id"].to_pylist()
    rows = [*_pictures(table, ids, augment), *_questions(ids, augment)]
    rows = [row for row in rows if row[2]["sample_id"] not in augment.left_out]
    rows.sort(key=lambda row: row[0])  # each sample's in the order in which they were made
    source = np.array([at for at, _, _ in rows], np.int64)
    made = table.take(pa.array(source)).to_pylist()
    for row, (_, kind, content) in zip(made, rows, strict=True):
        row |= {"variant_of": row["sample_id"], "variant": kind}
        row |= content
    variants = pa.Table.from_pylist(made, schema=AUGMENTED)
    images = first_images(variants["images"]).combine_chunks()
    asked = prompts(variants["question"].combine_chunks(), images, panel.prompt, panel.system)
    at = AUGMENTED.get_field_index("prompt")
    variants = variants.set_column(at, AUGMENTED.field(at), asked)
    nobody = pa.nulls(len(table), pa.string())
    own = table.append_column("variant_of", nobody).append_column("variant", nobody)
    order = np.argsort(np.concatenate([np.arange(len(table)), source]), kind="stable")
    return pa.concat_tables([own.cast(AUGMENTED), variants]).take(pa.array(order))


Made = tuple[int, str, dict[str, Any]]  # of which row, what of it varies, and what that is now


def _pictures(table: pa.Table, ids: list[str], augment: Augment) -> Iterator[Made]:
    if not augment.pictures:
        return
    for at, (name, images) in enumerate(zip(ids, table["images"].to_pylist(), strict=True)):
        found = picture_variants(name, images[0]["bytes"], augment) if images else ()
        for variant, content in found:
            image = {"bytes": content, "path": None}
            yield at, "picture", {"sample_id": variant, "images": [image]}


def picture_variants(name: str, content: bytes, augment: Augment) -> Iterator[tuple[str, bytes]]:
    """The variants' ids and bytes of a sample's picture; none of one that cannot be decoded."""
    for number in range(1, augment.pictures + 1):
        made = picture_variant(content, augment.seed, name, number)
        if made is not None:
            yield f"{name}~picture-{number}", made


def _questions(ids: list[str], augment: Augment) -> Iterator[Made]:
    for at, kind, variant, question in question_variants(ids, augment):
        yield at, kind, {"sample_id": variant, "question": question}


def question_variants(ids: Sequence[str], augment: Augment) -> Iterator[tuple[int, str, str, str]]:
    """Of which of the samples, of which kind, the variant's id and its question."""
    place = {name: at for at, name in enumerate(ids)}
    by_kind: dict[str, pa.Table] = {}
    if augment.paraphrases is not None:
        by_kind["question"] = augment.paraphrases.rows
    if augment.rephrased is not None:
        by_kind["rephrased"] = augment.rephrased.kept
    for kind, wordings in by_kind.items():
        seen: dict[int, int] = {}
        for name, question in zip(*wordings.to_pydict().values(), strict=True):
            if (at := place.get(name)) is not None:
                seen[at] = number = seen.get(at, 0) + 1
                yield at, kind, f"{name}~{kind}-{number}", question
