"""The suite: benchmarks that are evaluated together and shown in one table."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from qibox.fields import Deciding, Prose
from qibox.manifests.common import Checked, Manifest


class Benchmark(Checked):
    """One benchmark of a suite."""

    label: Prose[Annotated[str, Field(min_length=1)]]  # as people write its name; heads its columns
    # name of a shipped pool manifest, or a .yaml path
    pool: Deciding[Annotated[str, Field(min_length=1)]]


class SuiteManifest(Manifest):
    """Benchmarks in the order of the table's columns, each once."""

    benchmarks: Deciding[Annotated[tuple[Benchmark, ...], Field(min_length=1)]]

    @model_validator(mode="after")
    def _has_each_once(self) -> Self:
        for field in ("label", "pool"):
            values = [getattr(benchmark, field) for benchmark in self.benchmarks]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"the {field} '{twice[0]}' comes twice")
        return self
