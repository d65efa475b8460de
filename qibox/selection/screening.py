"""What a selection was compared with, and who was left out of it for being like another sample."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from qibox.likeness.compared import Finding
from qibox.run.units import digest

LEFT_OUT = "left_out.parquet"  # beside the card: the evidence

FINDINGS = pa.schema(
    [
        ("sample_id", pa.string()),  # or a variant's
        ("like", pa.string()),  # the sample that it is like
        ("benchmark", pa.string()),  # of that one; null: it is of the selection itself
        ("distance", pa.float64()),  # of the pictures, [0, 1]; null where there are none
        ("similarity", pa.float64()),  # of the questions, [0, 1]
        ("left_out", pa.bool_()),  # false where the overlap was allowed
    ]
)


@dataclass(frozen=True)
class Screening:
    """What was compared, and who was left out."""

    overlaps: tuple[Finding, ...]  # with benchmarks; left out unless they are allowed
    duplicates: tuple[Finding, ...]  # left out
    near_pictures: int  # chosen samples whose picture alone is near one of a benchmark
    checked: dict[str, int]  # samples of each benchmark
    unchecked: dict[str, str]  # benchmarks that are not here, and why
    allow_overlap: bool
    variants: tuple[Finding, ...] = ()  # variants like a benchmark's; as the overlaps

    @property
    def findings(self) -> pa.Table:
        """A row of :data:`FINDINGS` for each, by sample_id."""
        out = [(each, not self.allow_overlap) for each in (*self.overlaps, *self.variants)]
        out += [(each, True) for each in self.duplicates]
        rows = [
            (each.sample_id, each.other, each.benchmark, each.distance, each.similarity, gone)
            for each, gone in sorted(out, key=lambda pair: (pair[0].sample_id, pair[0].other))
        ]
        columns = list(zip(*rows, strict=True)) or [()] * len(FINDINGS)
        return pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, FINDINGS, strict=True)], schema=FINDINGS
        )

    @property
    def lineage(self) -> dict[str, Any]:
        """What of it goes into a selection's lineage."""
        told = {"variants": len(self.variants)} if self.variants else {}
        return {
            "benchmarks": self.checked,
            "unchecked": sorted(self.unchecked),
            "overlaps": len(self.overlaps),
            "allow_overlap": self.allow_overlap,
            **told,
            "duplicates": len(self.duplicates),
            "near_pictures": self.near_pictures,
            "findings_sha256": digest(self.findings.to_pylist()),
        }
