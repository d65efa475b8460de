"""Which fields a manifest has, and what each of them is there for."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from qibox.fields import (
    Added,
    Deciding,
    Like,
    Operating,
    Prose,
    Role,
    changed,
    differing,
    identity,
    leaves,
    roles_of,
)
from qibox.manifests import KINDS as MANIFESTS
from qibox.manifests import JudgeManifest, ModelSpec, PanelManifest, RecipeManifest, load_manifest
from qibox.manifests.settings import SETTINGS as ENGINES
from qibox.manifests.settings import AnySettings
from qibox.run.directory import RunManifest


class Inner(BaseModel):
    decides: Deciding[int] = 1
    operates: Operating[int] = 1
    says: Prose[str] = ""
    later: Added[int] = 7


class Named(Inner):
    name: Deciding[str]


class Outer(BaseModel):
    one: Deciding[Inner] = Inner()
    none: Deciding[Inner | None] = None
    by_name: Deciding[dict[str, Inner]] = {}
    listed: Deciding[tuple["str | Named", ...]] = ()
    free: Deciding[dict[str, Any]] = {}
    like: Annotated[Deciding[dict[str, Any]], Like(Inner)] = {}
    machine: Operating[Inner] = Inner()
    words: Prose[dict[str, str]] = {}


def held(annotation: object) -> Iterator[type[BaseModel]]:
    """All models that an annotation names, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from held(argument)


def all_models() -> set[type[BaseModel]]:
    """Every model that a run's or a recipe's YAML is made of."""
    found: set[type[BaseModel]] = set()
    waiting: list[type[BaseModel]] = [RunManifest, *MANIFESTS, *ENGINES.values()]
    while waiting:
        model = waiting.pop()
        if model not in found:
            found.add(model)
            waiting += [m for f in model.model_fields.values() for m in held(f.annotation)]
    return found


def unclassified(models: set[type[BaseModel]]) -> list[str]:
    """Fields that do not say what they are there for, or say it twice."""
    return sorted(
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if len(roles_of(field)) != 1
    )


def test_every_field_of_every_manifest_says_what_it_is_there_for() -> None:
    models = all_models()
    assert {"Accelerator", "Columns", "Edge", "Rollout", "Sampling", "VerdictWeights", "Vllm"} <= {
        model.__name__ for model in models
    }
    assert unclassified(models) == []


def test_a_field_that_says_nothing_is_noticed() -> None:
    class Silent(Inner):
        new: int = 0
        torn: Annotated[Deciding[int], Role.PROSE] = 0

    assert unclassified({Silent}) == ["Silent.new", "Silent.torn"]


def test_a_setting_means_the_same_in_every_engine() -> None:
    for engine in ENGINES.values():
        for name, field in engine.model_fields.items():
            assert roles_of(field) == roles_of(AnySettings.model_fields[name]), name


def test_prose_and_operation_are_no_part_of_an_identity() -> None:
    inner = Inner(operates=5, says="x")
    whole = Outer(
        one=inner, by_name={"a": inner, "operates": inner}, listed=("x", Named(name="n", says="y"))
    )
    assert identity(whole) == {
        "one": {"decides": 1},
        "none": None,
        "by_name": {"a": {"decides": 1}, "operates": {"decides": 1}},
        "listed": ["x", {"decides": 1, "name": "n"}],
        "free": {},
        "like": {},
    }


def test_a_free_mapping_is_judged_by_the_names_it_is_like() -> None:
    values = {"operates": 5, "decides": 2, "unheard": {"operates": 1}}
    found = identity(Outer(free=values, like=values))
    assert found["free"] == values
    assert found["like"] == {"decides": 2, "unheard": {"operates": 1}}


def test_a_field_that_was_added_counts_once_it_is_used() -> None:
    assert identity(Inner(later=7)) == {"decides": 1}
    assert identity(Inner(later=8)) == {"decides": 1, "later": 8}
    before = {"decides": 1}  # as it was written before the field was there
    assert changed(before, Inner().model_dump(), Inner) == []
    assert changed(before, Inner(later=8).model_dump(), Inner) == ["later"]


def test_leaves_are_told_by_dotted_names_with_their_role() -> None:
    first, second = Named(name="b"), Named(name="a")
    found = leaves(Outer(listed=(first, second), words={"a": "b"}).model_dump(mode="json"), Outer)
    told = {name: (leaf.value, leaf.role.value) for name, leaf in found.items()}
    assert told == {
        "one.decides": (1, "deciding"),
        "one.operates": (1, "operating"),
        "none": (None, "deciding"),
        "listed": (["b", "a"], "deciding"),
        "listed.b.name": ("b", "deciding"),
        "listed.b.decides": (1, "deciding"),
        "listed.b.operates": (1, "operating"),
        "listed.a.name": ("a", "deciding"),
        "listed.a.decides": (1, "deciding"),
        "listed.a.operates": (1, "operating"),
        "machine.decides": (1, "operating"),
        "machine.operates": (1, "operating"),
    }


def test_differing_names_fields_at_any_depth() -> None:
    old = {"a": 1, "b": {"c": 2, "d": 3}, "e": None, "one": {"operates": 1}}
    new = {"a": 1, "b": {"c": 5, "d": 3}, "one": {"operates": 2}}
    assert differing(leaves(old, Outer), leaves(new, Outer)) == ["b.c", "e", "one.operates"]
    assert changed(old, new, Outer) == ["b.c", "e"]
    assert changed(old, old, Outer) == []


SHIPPED = [
    load_manifest(JudgeManifest, "grm"),
    load_manifest(PanelManifest, "seven"),
    load_manifest(RecipeManifest, "safer-vlm-7b"),
]


@pytest.mark.parametrize("manifest", SHIPPED, ids=lambda manifest: manifest.name)
def test_what_was_read_back_from_yaml_differs_in_nothing(manifest: BaseModel) -> None:
    content = manifest.model_dump(mode="json")
    again = type(manifest).model_validate(content)
    assert changed(content, again.model_dump(mode="json"), type(manifest)) == []
    assert identity(again) == identity(manifest)


@given(
    st.dictionaries(
        st.sampled_from(sorted(AnySettings.model_fields)), st.integers(1, 3), max_size=8
    )
)
def test_an_identity_changes_exactly_when_a_deciding_value_does(settings: dict[str, int]) -> None:
    bare, spec = ModelSpec(source="x"), ModelSpec(source="x", settings=settings)
    names = changed(bare.model_dump(), spec.model_dump(), ModelSpec)
    assert (identity(spec) != identity(bare)) == bool(names)
    roles = {name: roles_of(AnySettings.model_fields[name])[0] for name in settings}
    assert {n.removeprefix("settings.") for n in names} == {
        name for name, role in roles.items() if role is Role.DECIDING
    }
