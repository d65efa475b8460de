"""A pool's manifest from a path alone: what kind of file it is, and which columns mean what.

Reads the file's first rows; writes nothing. The manifest says what was guessed, so that a command
can say it aloud; whatever is named by the caller is not guessed.
"""

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import fsspec
import pyarrow.parquet as pq

from qibox.errors import QiboxError, UsageError
from qibox.manifests.pool import PoolFormat, PoolManifest
from qibox.pool.lines import read_csv, read_json_list, read_jsonl

# usual names, the likeliest first; compared without case, spaces, dashes and underscores
USUAL: dict[str, tuple[str, ...]] = {
    "question": (
        "question", "prompt", "instruction", "query", "text", "input", "user", "problem", "goal",
    ),
    "image": (
        "image", "images", "image_path", "img", "picture", "photo", "img_path", "image_file",
        "image_name", "file_name", "filename", "file", "path",
    ),
    "sample_id": (
        "sample_id", "id", "question_id", "uid", "uuid", "instruction_id", "qid", "key",
    ),
    "category": (
        "category", "harm_category", "category_name", "harmful_category", "class", "label",
    ),
    "severity": ("severity", "image_severity", "severity_level", "harm_severity"),
    "risk": ("risk", "risk_kind", "kind"),
}  # fmt: skip
NEEDED = ("question", "image")
NONE = "none"  # as a column's name: the file has none of that role
FORMATS: dict[str, PoolFormat] = {
    ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".tsv": "csv", ".json": "json",
}  # fmt: skip
FIRST_RECORDS = 100


def pool_from_path(
    path: str, images: str | None = None, columns: Mapping[str, str] | None = None
) -> PoolManifest:
    """Describe a Parquet, JSONL, CSV or JSON file, or a dataset directory, as a pool.

    ``images`` is the folder or zip that image paths are under; ``columns`` names columns by role
    (question, image, sample_id, category, severity, risk) instead of guessing them, ``none`` says
    that there is none; a pool without an image column is one of texts.

    Raises:
        UsageError: no such path, a kind that is not known, a named column that is not there, or no
            column for the question or the image; the message names the option that helps.
    """
    form = _format(path)
    present = _columns(path, form)
    chosen = _chosen(path, present, dict(columns or {}))
    return PoolManifest.model_validate(
        {
            "name": _name(path),
            "about": f"{Path(path).name}, its columns guessed by their names.",
            "source": "the file itself",
            "format": form,
            "path": path,
            "images": images,
            "columns": chosen,
            "text_only": chosen["image"] is None,
        }
    )


def said_aloud(manifest: PoolManifest) -> str:
    """One line that says which column is read as what."""
    columns = manifest.columns.model_dump(exclude={"meta"})
    read = ", ".join(f"{role} from '{name}'" for role, name in columns.items() if name is not None)
    return f"{manifest.path} read as {manifest.format}: {read}"


def _format(path: str) -> PoolFormat:
    fs, inner = fsspec.core.url_to_fs(path)
    if any(sign in path for sign in "*?["):
        suffix = Path(path).suffix.lower()
    elif not fs.exists(inner):
        raise UsageError(
            f"no pool at {path}: give a shipped manifest's name, or a path that exists"
        )
    elif fs.isdir(inner):
        files = [str(name) for name in fs.find(inner)]
        return "parquet" if any(name.endswith(".parquet") for name in files) else "datasets"
    else:
        suffix = Path(inner).suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(
            f"{path} is of no known kind: a pool is a manifest (.yaml), a directory, or a file "
            f"that ends in {', '.join(FORMATS)}"
        )
    return FORMATS[suffix]


def _columns(path: str, form: PoolFormat) -> list[str]:
    """The columns of a file, or of the first of several."""
    if form == "parquet":
        return _parquet_columns(path)
    if form == "datasets":
        return _dataset_columns(path)
    reader = {"jsonl": read_jsonl, "csv": read_csv, "json": read_json_list}[form]
    records = list(islice(reader(path, _name(path)), FIRST_RECORDS))
    if not records:
        raise UsageError(f"{path} has no rows: each row is a sample, with a question and an image")
    names = dict.fromkeys(name for record in records for name in record.fields)
    if not names and records[0].fault is not None:
        raise UsageError(
            f"none of the first {len(records)} rows of {path} can be read, the first one because: "
            f"{records[0].fault}"
        )
    return list(names)


def _parquet_columns(path: str) -> list[str]:
    fs, inner = fsspec.core.url_to_fs(path)
    pattern = f"{inner}/**/*.parquet" if fs.isdir(inner) else inner
    files = sorted(map(str, fs.glob(pattern)))
    if not files:
        raise UsageError(f"no Parquet file at {path}: check the path")
    try:
        with fs.open(files[0], "rb") as file:
            return list(pq.read_schema(file).names)
    except (OSError, ValueError) as error:  # Arrow's own errors are ValueErrors
        words = " ".join(str(error).split())[:200]
        raise UsageError(f"{files[0]} cannot be read as Parquet: {words}") from error


def _dataset_columns(path: str) -> list[str]:
    from qibox.pool.hub import features_of, stream_of

    manifest = PoolManifest(name=_name(path), about=path, format="datasets", path=path)
    return list(features_of(stream_of(manifest, None), manifest))


def _chosen(path: str, present: list[str], named: dict[str, str]) -> dict[str, str | None]:
    unknown = [role for role in named if role not in USUAL]
    if unknown:
        raise QiboxError(f"no column has the role '{unknown[0]}': there are {', '.join(USUAL)}")
    unset = {role for role, name in named.items() if name == NONE and NONE not in present}
    if "question" in unset:
        raise UsageError(f"{path} needs a question: name its column", fields=["columns.question"])
    named = {role: name for role, name in named.items() if role not in unset}
    for role, name in named.items():
        if name not in present:
            raise UsageError(
                f"{path} has no column '{name}' for the {role}: {_has(present)}",
                fields=[f"columns.{role}"],
            )
    chosen: dict[str, str | None] = {}
    for role in USUAL:
        if role in unset:
            chosen[role] = None
            continue
        chosen[role] = named.get(role) or _guessed(
            role, present, {*named.values(), *chosen.values()}
        )
        if chosen[role] is None and role in NEEDED:
            raise UsageError(
                f"cannot tell which column of {path} is the {role}: {_has(present)}; name it",
                fields=[f"columns.{role}"],
            )
    return chosen


def _guessed(role: str, present: list[str], taken: set[str | None]) -> str | None:
    plain = {_plain(name): name for name in reversed(present) if name not in taken}
    found = (plain[_plain(usual)] for usual in USUAL[role] if _plain(usual) in plain)
    return next(found, None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


def _has(present: list[str]) -> str:
    return f"it has {', '.join(repr(name) for name in present[:20]) or 'none'}"


def _name(path: str) -> str:
    stem = Path(path.rstrip("/")).stem if "*" not in path else Path(path).parent.name
    return "-".join(re.findall(r"[a-z0-9]+", stem.lower())) or "pool"
