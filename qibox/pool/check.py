"""Rows → checked rows: every rule a row must keep to become a sample, or the reason why not.

Reads image files that rows name by path; writes nothing. Questions and images stay as published.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from qibox.manifests.pool import PoolManifest
from qibox.pool.duplicates import content_hashes, hexadecimal, text_hashes
from qibox.pool.headers import image_faults
from qibox.pool.images import ImageError
from qibox.pool.meta import constant, json_objects, json_values
from qibox.pool.pictures import MAX_BYTES, Pictures, is_embedded, unpacked
from qibox.pool.rows import (
    BATCH_BYTES,
    CheckedRows,
    Rows,
    first_reason,
    no_reasons,
    numbers,
    said_where,
    whole,
)
from qibox.pool.taxonomy import Mapping
from qibox.tables import IMAGE, POOL

MAX_ID = 512  # characters of a source's own id; our choice

MISSING_IMAGE = "image is missing"


@dataclass(frozen=True)
class Checker:
    """The rules of one pool."""

    manifest: PoolManifest
    pictures: Pictures | None  # where image paths lead; None: images are embedded
    mapping: Mapping | None  # published categories to the taxonomy's; None: kept as published

    def check(self, rows: Rows) -> Iterator[CheckedRows]:
        """Yield the rows checked, in order; in several batches where images are read from files."""
        if rows.image is None or self.pictures is None:
            yield self._check(rows, rows.image, _path_alone(rows))
            return
        start = 0
        while start < len(rows):
            part = rows.slice(start, len(rows) - start)
            image, faults = _read_images(part.image, self.pictures)
            yield self._check(part.slice(0, len(faults)), image, faults)
            start += len(faults)

    def _check(self, rows: Rows, image: pa.Array | None, unread: pa.Array) -> CheckedRows:
        length = len(rows)
        image = pa.nulls(length, IMAGE) if image is None else image
        data = pc.struct_field(image, "bytes")
        missing = None if self.manifest.text_only else MISSING_IMAGE
        reason = first_reason(
            rows.fault,
            self._question_faults(rows.question),
            _id_faults(rows.sample_id, length),
            unread,
            said_where(data.is_null(), pa.scalar(missing, pa.string())),
            said_where(
                pc.greater(pc.binary_length(data), MAX_BYTES),
                f"image has more than the {MAX_BYTES} bytes allowed",
            ),
            image_faults(data, self.manifest.max_pixels),
        )
        content = content_hashes(rows.question, data)
        own = hexadecimal(content) if rows.sample_id is None else rows.sample_id
        columns = {
            "sample_id": pc.binary_join_element_wise(self.manifest.name, own, ":"),
            "source": pa.repeat(self.manifest.name, length),
            "question": rows.question,
            "image": image,
            "category": self._category(rows),
            "severity": _or_nulls(rows.severity, length, pa.int32()),
            "risk": self._risk(rows),
            "meta": self._meta(rows),
            "license": pa.repeat(pa.scalar(self.manifest.license, pa.string()), length),
        }
        samples = pa.table([columns[field.name] for field in POOL], schema=POOL)
        names = None if rows.sample_id is None else text_hashes(whole(samples["sample_id"]))
        return CheckedRows(samples, content, names, rows.number, reason)

    def _question_faults(self, question: pa.Array) -> pa.Array:
        most = self.manifest.max_question
        length = pc.utf8_length(question)
        written = pc.cast(length, pa.string())
        long = pc.binary_join_element_wise(
            "question has ", written, f" characters, more than the {most} allowed", ""
        )
        return first_reason(
            said_where(question.is_null(), "question is null"),
            said_where(
                pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(question)), 0), "question is empty"
            ),
            said_where(pc.greater(length, most), long),
        )

    def _category(self, rows: Rows) -> pa.Array:
        if rows.category is None:
            return pa.nulls(len(rows), pa.string())
        return rows.category if self.mapping is None else self.mapping.translate(rows.category)

    def _risk(self, rows: Rows) -> pa.Array:
        if rows.risk is None:
            return pa.repeat(pa.scalar(self.manifest.risk, pa.string()), len(rows))
        return (
            rows.risk if self.manifest.risk is None else pc.fill_null(rows.risk, self.manifest.risk)
        )

    def _meta(self, rows: Rows) -> pa.Array:
        values: dict[str, pa.Array] = {}
        if self.manifest.license is not None:
            values["license"] = constant(self.manifest.license, len(rows))
        if rows.category is not None and self.mapping is not None:
            values["published_category"] = json_values(rows.category)
        return json_objects(values | rows.meta, len(rows))


def _id_faults(ids: pa.Array | None, length: int) -> pa.Array:
    if ids is None:
        return no_reasons(length)
    return first_reason(
        said_where(ids.is_null(), "id is missing"),
        said_where(pc.equal(pc.utf8_length(ids), 0), "id is empty"),
        said_where(
            pc.greater(pc.utf8_length(ids), MAX_ID), f"id has more than {MAX_ID} characters"
        ),
    )


def _path_alone(rows: Rows) -> pa.Array:
    """Fault of rows whose image is a path, in a pool that names no place for it."""
    if rows.image is None:
        return no_reasons(len(rows))
    path = pc.struct_field(rows.image, "path")
    alone = pc.and_(path.is_valid(), pc.struct_field(rows.image, "bytes").is_null())
    return said_where(alone, "image is a path without bytes, and the pool names no `images` folder")


def _or_nulls(values: pa.Array | None, length: int, kind: pa.DataType) -> pa.Array:
    return pa.nulls(length, kind) if values is None else values


def _read_images(image: pa.Array, pictures: Pictures) -> tuple[pa.Array, pa.Array]:
    """Fill in the bytes of images that only have a path, of as many rows as fit a batch."""
    data: list[bytes | None] = []
    faults: list[str | None] = []
    total = 0
    embedded = pc.struct_field(image, "bytes")
    paths = pc.struct_field(image, "path").to_pylist()
    inside = embedded.is_valid().to_pylist()
    for row, path in enumerate(paths):
        content, fault = None, None
        if inside[row]:
            content = embedded[row].as_py()
        elif path is not None:
            try:
                if is_embedded(path):
                    content, paths[row] = unpacked(path), None
                else:
                    content = pictures.read(path)
            except ImageError as error:
                fault = str(error)
        data.append(content)
        faults.append(fault)
        total += len(content or b"")
        if total >= BATCH_BYTES:
            break
    done = len(data)
    filled = [pa.array(data, pa.binary()), pa.array(paths[:done], pa.string())]
    mask = pa.array([c is None and p is None for c, p in zip(data, paths, strict=False)])
    struct = pa.StructArray.from_arrays(filled, fields=list(IMAGE), mask=mask)
    return struct, pa.array(faults, pa.string())


def checked_samples(samples: pa.Table, start: int) -> CheckedRows:
    """Rows that are made in the pool's form and need no rule; ``start`` numbers the first."""
    data = pc.struct_field(whole(samples["image"]), "bytes")
    return CheckedRows(
        samples,
        content_hashes(whole(samples["question"]), data),
        text_hashes(whole(samples["sample_id"])),
        numbers(start, samples.num_rows),
        no_reasons(samples.num_rows),
    )
