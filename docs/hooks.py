# ruff: noqa: E501  the pages' paragraphs
"""Pages of the site that are made when it is built: README, commands, manifests, benchmarks.

mkdocs calls :func:`on_files` and :func:`on_page_markdown` (mkdocs.yml); ``make docs`` builds.
"""

import ast
import inspect
import io
import json
import re
import tokenize
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from qibox.cli.main import COMMANDS, cli
from qibox.fields import Like, roles_of
from qibox.manifests.load import KINDS

ROOT = Path(__file__).parents[1]
WIDTH = 100  # characters of a command's help

_MANIFESTS = """# Manifests

A manifest is a YAML file that says what a pool, a panel, a judge, a box, a recipe or a suite is. `qibox manifests` lists the shipped ones and prints one; a path that ends in .yaml is one of your own, and `qibox manifests my.yaml --kind pools` checks it. A field that is not named here is refused.

What a field is there for: a **deciding** one decides the answers, or which rows there are, and is part of the keys that a run is resumed by; an **operating** one says how hard, how long and on what the work is done, and may change at any moment; **prose** says something and decides nothing.
"""

_COMMANDS = """# Commands

What `qibox COMMAND --help` prints. Exit status: 0 done; 2 wrong usage; 3 done, but more rows failed than allowed; 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP; 1 anything else that stopped the work.
"""


def pages() -> dict[str, str]:
    """The made pages by their names."""
    return {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8"),
        "benchmarks.md": (ROOT / "benchmarks/README.md").read_text(encoding="utf-8"),
        "commands.md": commands(),
        "manifests.md": manifests(),
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages."""
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let links between files of the repository lead to the site's pages."""
    markdown = re.sub(r"\]\((?:\.\./)?benchmarks/README\.md", "](benchmarks.md", markdown)
    return re.sub(r"\]\((?:\.\./)?docs/", "](", markdown)


def commands() -> str:
    """Every command with its help."""
    parts = [_COMMANDS]
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        context = click.Context(command, info_name=f"qibox {name}", terminal_width=WIDTH)
        parts.append(f"## qibox {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def manifests() -> str:
    """Every kind of manifest, then the records that their fields hold, each with its fields."""
    parts, found = [_MANIFESTS], list[type[BaseModel]](KINDS)
    for kind in found:  # grows
        parts.append(f"## {_title(kind)}\n\n{fields_of(kind)}")
        found += [each for each in dict.fromkeys(models_in(kind)) if each not in found]
    return "\n".join(parts)


def _title(kind: type[BaseModel]) -> str:
    return KINDS[kind].capitalize() if kind in KINDS else kind.__name__


def _link(kind: type[BaseModel]) -> str:
    return f"[{_title(kind)}](#{_title(kind).lower()})"


def models_in(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The records that a record's fields hold."""
    for field in kind.model_fields.values():
        for found in (
            field.annotation,
            *(mark.kind for mark in field.metadata if isinstance(mark, Like)),
        ):
            yield from _classes(found)


def _classes(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _classes(argument)


def fields_of(kind: type[BaseModel]) -> str:
    """A record's docstring and its fields as a table."""
    ours = [each for each in reversed(kind.__mro__) if each.__module__.startswith("qibox.")]
    comments = {name: text for each in ours for name, text in said(each).items()}
    rows = ["| field | type | default | for | |", "|---|---|---|---|---|"]
    for name, field in kind.model_fields.items():
        role = next((mark.value for mark in roles_of(field)), "")
        cells = (f"`{name}`", type_of(field), default_of(field), role, comments.get(name, ""))
        cells = tuple(each.replace("<", "&lt;") for each in cells)
        rows.append(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |")
    return f"{inspect.getdoc(kind)}\n\n" + "\n".join(rows) + "\n"


def default_of(field: FieldInfo) -> str:
    """A field's default as YAML would have it; required where there is none."""
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        changed = field.default.model_dump(mode="json", exclude_defaults=True)
        return f"`{json.dumps(changed)}`" if changed else "its own"
    return f"`{json.dumps(to_jsonable_python(field.default), ensure_ascii=False)}`"


def type_of(field: FieldInfo) -> str:
    """A field's type in words, with its bounds."""
    named = [f"as {_link(mark.kind)}" for mark in field.metadata if isinstance(mark, Like)]
    return " ".join([_words(field.annotation), *named, *_bounds(field.metadata)])


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return " ".join([_words(arguments[0]), *_bounds(arguments[1:])])
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_words(each) for each in arguments)
    if origin is dict:
        return f"mapping to {_words(arguments[1])}"
    if origin in (tuple, list):
        return f"list of {_words(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _link(annotation)
    plain = {str: "text", int: "integer", float: "number", bool: "true or false", NoneType: "null"}
    return plain.get(annotation, "anything")


def _bounds(marks: Any) -> Iterator[str]:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    for mark in marks:
        for each in getattr(mark, "metadata", [mark]):
            if isinstance(each, Enum):
                continue
            for name, sign in signs.items():
                if getattr(each, name, None) is not None:
                    yield f"{sign} {getattr(each, name):,}".removesuffix(".0")
            if getattr(each, "min_length", None):
                yield f"(at least {each.min_length})"


def said(kind: type) -> dict[str, str]:
    """What the comments at a class's fields say: above the field, or at the end of its line."""
    source = inspect.getsource(kind)
    notes = {
        token.start[0]: (token.start[1], token.string.lstrip("# "))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        line, above = node.lineno - 1, []
        while line in notes and notes[line][0] == node.col_offset:
            above.insert(0, notes[line][1])
            line -= 1
        last = node.end_lineno or node.lineno
        after = [notes[last][1]] if last in notes else []
        found[node.target.id] = " ".join(above + after)
    return found
