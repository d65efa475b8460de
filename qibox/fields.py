"""What a field of a manifest is, said at the field, and what follows from that.

A **deciding** field decides the answer, or which rows there are: it is part of a unit's key, and a
run takes no other value unasked. An **operating** one says how hard, how long and on what the work
is done (batch sizes, parallelism, memory shares, time-outs): never part of a key, free to change at
any moment. **Prose** says something and decides nothing. ::

    prompt: Deciding[str] = "{question}"
    noise_id: Added[str | None] = None
    accelerator: Operating[Accelerator | None] = None
    about: Prose[str]

``Added`` is deciding as well, and younger than runs that were made: it is left out of keys while it
holds its default, so that their keys stay. Under an operating or prose field nothing decides; what
no field names is deciding.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python


class Role(Enum):
    """What a field is there for."""

    DECIDING = "deciding"
    OPERATING = "operating"
    PROSE = "prose"


class _Mark(Enum):
    ADDED = "added"


@dataclass(frozen=True)
class Like:
    """Marks a free mapping whose names are those of a model's fields."""

    kind: type[BaseModel]


class Leaf(NamedTuple):
    """One value of a manifest, and what it is there for."""

    value: object
    role: Role


T = TypeVar("T")
Deciding = Annotated[T, Role.DECIDING]
Added = Annotated[T, Role.DECIDING, _Mark.ADDED]
Operating = Annotated[T, Role.OPERATING]
Prose = Annotated[T, Role.PROSE]


@dataclass(frozen=True)
class _Known:
    """A field, as the walker needs it."""

    role: Role
    inner: type[BaseModel] | None  # what it holds: one, a list of them, or a mapping to them
    by_name: bool  # a mapping to them
    added: bool
    default: object  # as JSON has it


def roles_of(field: FieldInfo) -> list[Role]:
    """The roles that a field is marked with; a manifest's field has one."""
    return [mark for mark in field.metadata if isinstance(mark, Role)]


def identity(manifest: BaseModel) -> dict[str, Any]:
    """The deciding fields of a manifest as JSON, nested as they are: what keys are made of."""
    return _deciding(manifest.model_dump(mode="json"), type(manifest))


def leaves(content: Mapping[str, Any], kind: type[BaseModel]) -> dict[str, Leaf]:
    """The values of a manifest dumped as JSON, or read from YAML, under their dotted names.

    A name is such as ``panel.sampling.seed``. Items of a list that have names are told by them; if
    they are several, their order is a value as well. Prose is left out.
    """
    return dict(_walk(content, kind, ""))


def differing(old: Mapping[str, Leaf], new: Mapping[str, Leaf]) -> list[str]:
    """Names under which two manifests' values differ, sorted; a value not there is not null."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def changed(old: Mapping[str, Any], new: Mapping[str, Any], kind: type[BaseModel]) -> list[str]:
    """Dotted names of the deciding values in which two manifests differ, as JSON; sorted."""
    before, after = leaves(old, kind), leaves(new, kind)
    found = differing(before, after)
    return [name for name in found if (after.get(name) or before[name]).role is Role.DECIDING]


def _deciding(content: Mapping[str, Any], kind: type[BaseModel]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value, field in _fields(content, kind):
        if field.role is not Role.DECIDING:
            continue
        kept[name] = value
        if field.inner is None:
            continue
        if isinstance(value, list):
            kept[name] = [_deciding(v, field.inner) if isinstance(v, dict) else v for v in value]
        elif isinstance(value, dict) and field.by_name:
            kept[name] = {n: _deciding(item, field.inner) for n, item in value.items()}
        elif isinstance(value, dict):
            kept[name] = _deciding(value, field.inner)
    return kept


def _walk(
    content: Mapping[str, Any],
    kind: type[BaseModel] | None,
    prefix: str,
    outer: Role = Role.DECIDING,
) -> Iterator[tuple[str, Leaf]]:
    for name, value, field in _fields(content, kind):
        key = f"{prefix}{name}"
        role = outer if field.role is Role.DECIDING else field.role
        items = _items(value, field)
        if role is Role.PROSE:
            continue
        if items is not None:
            if len(items) > 1 and isinstance(value, list):
                yield key, Leaf(list(items), role)
            for item, inner in items.items():
                yield from _walk(inner, field.inner, f"{key}.{item}.", role)
        elif isinstance(value, dict):
            yield from _walk(value, field.inner, f"{key}.", role)
        else:
            yield key, Leaf(value, role)


def _fields(
    content: Mapping[str, Any], kind: type[BaseModel] | None
) -> Iterator[tuple[str, Any, _Known]]:
    """Names, values and what is known of them; without what was added and holds its default."""
    known = {} if kind is None else _known(kind)
    for name, value in content.items():
        field = known.get(name, _UNKNOWN)
        if not (field.added and value == field.default):
            yield name, value, field


def _items(value: object, field: _Known) -> dict[str, Any] | None:
    """The manifests that a field maps to, or those of its list by their names; None without."""
    if isinstance(value, dict):
        return value if field.by_name else None
    if field.inner is None or not isinstance(value, list) or not value:
        return None
    if not all(isinstance(item, dict) and "name" in item for item in value):
        return None
    items = {item["name"]: item for item in value}
    return items if len(items) == len(value) else None


_UNKNOWN = _Known(Role.DECIDING, None, False, False, None)


@cache
def _known(kind: type[BaseModel]) -> dict[str, _Known]:
    found = {}
    for name, field in kind.model_fields.items():
        like = next((mark.kind for mark in field.metadata if isinstance(mark, Like)), None)
        added = _Mark.ADDED in field.metadata
        inner = like or _model_in(field.annotation)
        found[name] = _Known(
            role=next(iter(roles_of(field)), Role.DECIDING),
            inner=inner,
            by_name=inner is not None and like is None and _is_mapping(field.annotation),
            added=added,
            default=to_jsonable_python(field.get_default(call_default_factory=False))
            if added
            else None,
        )
    return found


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model that an annotation holds, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _is_mapping(annotation: object) -> bool:
    return get_origin(annotation) is dict or any(map(_is_mapping, get_args(annotation)))
