"""The pool: where samples are read from and which columns mean what."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from qibox.fields import Deciding, Prose
from qibox.manifests.common import Checked, Identifier, Manifest

PoolFormat = Literal["mini", "parquet", "datasets", "jsonl", "csv", "json", "vlguard", "mssbench"]
Risk = Literal["none", "explicit", "implicit"]

MAX_PIXELS = 64_000_000  # width × height; our choice: 192 MB as RGB, published pools stay below


# What a pool of parts says itself; all else each part says for its own rows.
OF_COMBINED = {
    "name", "about", "source", "sources", "unverified", "obtain", "parts", "shard_size",
    "benchmark", "rows", "fingerprint",
}  # fmt: skip


class Columns(Checked):
    """Which of the source's columns hold what; null: the source has none."""

    sample_id: Deciding[str | None] = None  # null: a content hash
    question: Deciding[str | None] = "question"  # null: `question_text` is every row's question
    # embedded, or a path under `images`; {column} fills in a template
    image: Deciding[str | None] = "image"
    # of a hub repository, "config" is the configuration's name
    category: Deciding[str | None] = None
    severity: Deciding[str | None] = None  # whole number
    risk: Deciding[str | None] = None  # none, explicit or implicit
    meta: Deciding[tuple[str, ...]] = ()  # kept as JSON in meta


class PoolManifest(Manifest):
    """One pool, or several combined (`parts`)."""

    name: Deciding[Identifier]  # the head of its samples' ids
    format: Deciding[PoolFormat | None] = None
    path: Deciding[str | None] = None  # file, directory, glob, URL or hub repository
    # folder or zip that image paths are under; null: beside the file
    images: Deciding[str | None] = None
    # how to get a copy to `path`, where nothing loads it by itself
    obtain: Prose[str | None] = None
    revision: Deciding[str | None] = None  # commit of a hub repository
    # sha256 of what lay at a local path when a run was made (qibox.pool.content); filled in then
    fingerprint: Prose[str | None] = None
    # hub configurations; none: the only one; "*": all of them
    config: Deciding[tuple[str, ...]] = ()
    split: Deciding[str | None] = None
    columns: Deciding[Columns] = Columns()
    # asked of every image, where the source has no question
    question_text: Deciding[str | None] = None
    risk: Deciding[Risk | None] = None  # of every row, where known
    # table of taxonomy.yaml for its categories; null: as published
    taxonomy: Deciding[str | None] = None
    text_only: Deciding[bool] = False  # rows without an image are samples
    # keep rows whose column equals the value; others are not counted
    where: Deciding[dict[str, Any]] = {}
    license: Deciding[str | None] = None  # carried to every row's meta
    # published number of rows, to compare with
    rows: Prose[Annotated[int, Field(ge=1)] | None] = None
    parts: Deciding[tuple["str | PoolManifest", ...]] = ()  # pools that this one combines, by name
    shard_size: Deciding[Annotated[int, Field(ge=1, le=100_000)]] = 1000  # samples a shard
    # characters; longer ones are refused
    max_question: Deciding[Annotated[int, Field(ge=1)]] = 32_768
    max_pixels: Deciding[Annotated[int, Field(ge=1, le=MAX_PIXELS)]] = MAX_PIXELS  # may be declared
    # of samples of a miniature world, its name: the oracle knows it
    world: Prose[Identifier | None] = None
    benchmark: Deciding[bool] = False  # held out: never a pool to train on

    @property
    def is_miniature(self) -> bool:
        """Whether its samples are of a miniature world, which the oracle knows."""
        return self.format == "mini" or self.world is not None

    @model_validator(mode="after")
    def _reads_something(self) -> Self:
        if bool(self.parts) == (self.format is not None):
            raise ValueError("a pool has either a format or parts")
        ignored = [
            name
            for name, field in type(self).model_fields.items()
            if self.parts
            and name not in OF_COMBINED
            and getattr(self, name) != field.get_default(call_default_factory=True)
        ]
        if ignored:
            raise ValueError(
                f"a pool of parts does not have {', '.join(ignored)} of its own: say it in each "
                "part's manifest"
            )
        if self.format not in (None, "mini") and self.path is None:
            raise ValueError(f"a pool of format {self.format} needs a path")
        if (self.columns.question is None) == (self.question_text is None):
            raise ValueError("a pool has either columns.question or question_text")
        return self
