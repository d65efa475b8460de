"""Which weights of the hub a panel, a judge or a recipe needs; each once, whoever needs it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qibox.engines.hub import bytes_to_fetch, named, reachable, weights_here
from qibox.engines.sources import local_directory
from qibox.errors import QiboxError
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.load import load_manifest
from qibox.manifests.panel import ModelSpec
from qibox.manifests.recipe import RecipeManifest

HOSTED = ("auto", "transformers", "vllm")  # engines that load weights
BYTES_A_PARAMETER = 2  # as the models of the hub are published, in bfloat16


@dataclass(frozen=True)
class Needed:
    """A model of the hub, and for whom."""

    source: str
    revision: str | None  # null: the hub's main branch
    size_b: float | None  # billions of parameters, as a manifest says
    users: tuple[str, ...]  # models' ids, judge NAME, recipe NAME

    @property
    def name(self) -> str:
        """Id and revision in one word."""
        return named(self.source, self.revision)

    @property
    def published_bytes(self) -> int | None:
        """What its manifest's size comes to; nothing was asked of the hub."""
        return None if self.size_b is None else int(self.size_b * 1e9 * BYTES_A_PARAMETER)


@dataclass(frozen=True)
class Size:
    """How much a fetch would bring."""

    needed: Needed
    count: int | None  # bytes; 0: all of it is here; None: not known
    listed: bool  # by the hub; else it is the published size, not checked


def needed_by_models(models: Iterable[tuple[str, ModelSpec]]) -> Iterator[Needed]:
    """The weights of models that are loaded here, and lie in no directory."""
    for user, spec in models:
        if spec.engine in HOSTED and spec.at is None and local_directory(spec.source) is None:
            yield Needed(spec.source, spec.revision, spec.size_b, (user,))


def needed_by_judges(judges: Iterable[JudgeManifest]) -> Iterator[Needed]:
    """The weights of judges' models."""
    models = ((f"judge {judge.name}", judge.model) for judge in judges if judge.model is not None)
    yield from needed_by_models(models)


def needed_by_recipe(recipe: RecipeManifest) -> Iterator[Needed]:
    """The weights of a recipe's policy, and of the judge that it names."""
    if local_directory(recipe.policy) is None:
        yield Needed(recipe.policy, recipe.revision, recipe.size_b, (f"recipe {recipe.name}",))
    if recipe.judge is not None:
        yield from needed_by_judges([load_manifest(JudgeManifest, recipe.judge)])


def needed_by_name(text: str) -> Iterator[Needed]:
    """The weights that ``owner/name`` or ``owner/name@revision`` names; a directory needs none."""
    source, _, revision = text.partition("@")
    if local_directory(source) is None:
        yield Needed(source, revision or None, None, ())


def each_once(needed: Iterable[Needed]) -> list[Needed]:
    """The same weights together, with all who need them."""
    found: dict[tuple[str, str | None], Needed] = {}
    for one in needed:
        key = (one.source, one.revision)
        other = found.get(key, one)
        users = dict.fromkeys([*other.users, *one.users])
        found[key] = Needed(*key, other.size_b or one.size_b, tuple(users))
    return list(found.values())


def sizes(needed: Iterable[Needed], cache: Path | None = None) -> Iterator[Size]:
    """How much of each is still to be fetched: as the hub lists it where it can be asked."""
    for one in needed:
        if weights_here(one.source, one.revision, cache):
            yield Size(one, 0, True)
            continue
        try:
            asked = bytes_to_fetch(one.source, one.revision, cache) if reachable() else None
        except QiboxError:  # fetching it will say why
            asked = None
        yield Size(one, one.published_bytes if asked is None else asked, asked is not None)
