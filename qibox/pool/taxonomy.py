"""Published harm categories → one common list, by the tables of data_manifests/taxonomy.yaml."""

from dataclasses import dataclass
from importlib import resources

import pyarrow as pa

from qibox.errors import UsageError
from qibox.manifests.common import Checked
from qibox.yaml_text import parse_yaml

FILE = "taxonomy.yaml"
OTHER = "other"


class Taxonomy(Checked):
    """The common categories, and for each source which of its own means which."""

    about: str
    source: str
    unverified: tuple[str, ...]  # tables that could not be checked in full
    categories: dict[str, str]  # name: what it holds
    tables: dict[str, dict[str, str]]  # by source: published category: common one


@dataclass(frozen=True)
class Mapping:
    """One source's table; a published category that is not in it becomes OTHER."""

    table: dict[str, str]

    def translate(self, published: pa.Array) -> pa.Array:
        """The common category of each published one."""
        if not len(published):
            return pa.nulls(0, pa.string())
        coded = published.dictionary_encode()
        known = [self.table.get(_folded(name), OTHER) for name in coded.dictionary.to_pylist()]
        return pa.array(known, pa.string()).take(coded.indices)


def load_taxonomy() -> Taxonomy:
    """Read the shipped taxonomy."""
    text = (resources.files("qibox.data_manifests") / FILE).read_text(encoding="utf-8")
    return Taxonomy.model_validate(parse_yaml(text))


def mapping_of(name: str | None) -> Mapping | None:
    """The table of that name; None for none.

    Raises:
        UsageError: the taxonomy has no such table.
    """
    if name is None:
        return None
    tables = load_taxonomy().tables
    if name not in tables:
        raise UsageError(f"no taxonomy table named '{name}': there are {', '.join(sorted(tables))}")
    return Mapping({_folded(key): value for key, value in tables[name].items()})


def _folded(name: str | None) -> str:
    """Spelling without case, underscores or doubled spaces: sources differ from file to file."""
    return " ".join((name or "").replace("_", " ").lower().split())
