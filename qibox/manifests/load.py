"""Find, read and check manifests: by name among the shipped ones, or by path."""

from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from qibox.errors import UsageError
from qibox.manifests.box import BoxManifest
from qibox.manifests.common import Manifest
from qibox.manifests.comparison import ComparisonManifest
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.manifests.recipe import RecipeManifest
from qibox.manifests.rephraser import RephraserManifest
from qibox.manifests.suite import SuiteManifest
from qibox.yaml_text import Loader, parse_yaml

KINDS: dict[type[Manifest], str] = {
    PoolManifest: "pools",
    PanelManifest: "panels",
    JudgeManifest: "judges",
    BoxManifest: "boxes",
    RecipeManifest: "recipes",
    SuiteManifest: "suites",
    ComparisonManifest: "comparisons",
    RephraserManifest: "rephrasers",
}

M = TypeVar("M", bound=Manifest)


def list_manifests(kind: type[Manifest]) -> list[str]:
    """Names of the shipped manifests of one kind, sorted."""
    folder = resources.files("qibox.data_manifests") / KINDS[kind]
    return sorted(
        e.name.removesuffix(".yaml") for e in folder.iterdir() if e.name.endswith(".yaml")
    )


def load_manifest(kind: type[M], name_or_path: str) -> M:
    """Read one manifest.

    A value that ends in .yaml or .yml is a path; anything else is a shipped manifest's name.

    Raises:
        UsageError: no such manifest, unreadable, not YAML, or a field that does not hold.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        text = _read(Path(name_or_path))
    else:
        text = manifest_text(kind, name_or_path)
    return parse_manifest(kind, text, name_or_path)


def manifest_text(kind: type[Manifest], name: str) -> str:
    """A shipped manifest as it is written, comments and all.

    Raises:
        UsageError: no shipped manifest of that kind and name.
    """
    known = list_manifests(kind)
    if name not in known:
        word = kind.__name__.removesuffix("Manifest").lower()
        raise UsageError(
            f"no {word} manifest named '{name}': "
            f"shipped ones are {', '.join(known)}; a path must end in .yaml"
        )
    folder = resources.files("qibox.data_manifests") / KINDS[kind]
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def parse_manifest(kind: type[M], text: str, origin: str) -> M:
    """Check a manifest's text; ``origin`` names it in errors.

    Raises:
        UsageError: not YAML, not a mapping, or fields that do not hold, each named.
    """
    try:
        values = parse_yaml(text, _Loader)
    except _RepeatedFieldError as error:
        raise UsageError(f"manifest {origin} has {error}: keep one") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        # the compiled parser calls a text's end a line after its last
        line = f" at line {min(where.line, text.count(chr(10))) + 1}" if where else ""
        raise UsageError(f"manifest {origin} is not YAML{line}: mend it and run again") from error
    except RecursionError as error:
        raise UsageError(
            f"manifest {origin} is nested too deep: a manifest has a few levels, mend it"
        ) from error
    if not isinstance(values, dict):
        raise UsageError(
            f"manifest {origin} must be a mapping of fields, not {type(values).__name__}"
        )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"manifest {origin}: {describe(error, kind)}") from error


def describe(error: ValidationError, kind: type[BaseModel]) -> str:
    """One sentence for all fields that do not hold, with the values received."""
    parts = []
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
            allowed = ", ".join(kind.model_fields)
            parts.append(f"unknown field '{field}' (allowed: {allowed})")
        elif item["type"] == "missing":
            parts.append(f"field '{field}' is missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            if field and isinstance(item["input"], str | int | float | None):
                message += f", not {item['input']!r}"
            parts.append(f"{field}: {message}" if field else message)
    return "; ".join(parts)


class _RepeatedFieldError(yaml.YAMLError):
    """A mapping has one key twice; YAML itself would keep the last in silence."""


class _Loader(Loader):
    """Plain YAML without repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; every key once."""
        seen = set()
        for key in (k for k, _ in node.value if isinstance(k, yaml.ScalarNode)):
            if key.value in seen:
                line = key.start_mark.line + 1
                raise _RepeatedFieldError(f"the field '{key.value}' twice, at line {line}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"no manifest at {path}: check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"manifest {path} cannot be read: {error}") from error
