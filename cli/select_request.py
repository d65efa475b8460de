"""The options of `qibox select` as a request."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from qibox.errors import UsageError
from qibox.manifests.box import BoxManifest, Edge
from qibox.manifests.load import load_manifest
from qibox.manifests.recipe import RecipeManifest
from qibox.run.directory import Run
from qibox.selection.frame import Frame, make_frame
from qibox.selection.request import OPEN_BOX, Request, Steering, at_random, by_box

BOX_OPTIONS = ("q_band", "u_min", "q_band_quantile", "u_min_quantile", "box", "rank", "limit")
COUNTS = ("random", "size", "limit")  # each says how many

Options = Mapping[str, Any]  # by the command's parameters


def make_request(given: Options, run: Run) -> Request:
    """Turn the options into a request.

    Raises:
        UsageError: options that exclude each other, or none on a pool without a box of its own.
    """
    options = dict(given)
    recipe = _for_recipe(options)
    steering = Steering(
        where=options["where"],
        weights=options["weights"],
        policy=options["policy"],
        embeddings=options["embeddings"],
        augment=options["augment"],
        paraphrases=options["paraphrases"],
        rephrase=options["rephrase"],
        twins=options["twins"],
        min_confidence=options["min_confidence"],
        recipe=recipe,
    )
    common = {key: options[key] for key in ("name", "within", "seed")}
    common |= {"frame": frame_of(options), "steering": steering}
    if options["random"] is not None:
        _refuse_beside_random(options)
        return at_random(options["random"], **common)
    _refuse_twice(options)
    return by_box(make_box(options, run), size=options["size"], **common)


def _for_recipe(options: dict[str, Any]) -> str | None:
    """Put a recipe's prompt slots where the number of samples belongs; the name of a given one."""
    if options["for_recipe"] is None:
        return None
    for name in COUNTS:
        if options[name] is not None:
            raise UsageError(
                f"--for-recipe {options['for_recipe']} and --{name} {options[name]} both say how "
                "many: give one of them (--rank random draws at random)"
            )
    recipe = load_manifest(RecipeManifest, options["for_recipe"])
    place = "size" if options["stratify"] is not None else "limit"
    options[place] = recipe.steps * recipe.prompts_per_step
    return recipe.name


def _refuse_beside_random(options: Options) -> None:
    given = [name for name in (*BOX_OPTIONS, "size") if options[name] is not None]
    number = options["random"]
    if given == ["size"]:
        raise UsageError(
            f"--random {number} is the size already: leave out --size {options['size']}"
        )
    if given:
        raise UsageError(f"--random draws without a box: leave out --{given[0].replace('_', '-')}")


def _refuse_twice(options: Options) -> None:
    if options["size"] is not None and options["limit"] is not None:
        raise UsageError(
            f"--size {options['size']} and --limit {options['limit']} are one number twice: give "
            "--size with quotas, --limit without"
        )
    for plain, quantile in (("q_band", "q_band_quantile"), ("u_min", "u_min_quantile")):
        if options[plain] is not None and options[quantile] is not None:
            flags = [f"--{name.replace('_', '-')}" for name in (plain, quantile)]
            raise UsageError(f"{flags[0]} and {flags[1]} are one edge twice: give one of them")


def frame_of(options: Options) -> Frame | None:
    """Read the quotas.

    Raises:
        UsageError: quotas without columns to stratify by, or a text that is none.
    """
    stratify, quotas = options["stratify"], options["quota"]
    if stratify is None:
        if quotas:
            raise UsageError(f"--quota '{quotas[0]}' has no strata: add --stratify COLUMNS")
        return None
    return make_frame(stratify, quotas)


def make_box(options: Options, run: Run) -> BoxManifest:
    """Take the named box, or every scored sample, and put the given edges over it.

    Who says whom to choose by a rank or a condition needs no box.
    """
    changes: dict[str, object] = {}
    for option, field in (("q_band", "value"), ("q_band_quantile", "quantile")):
        if options[option] is not None:
            low, high = options[option]
            changes["q_low"] = _edge(option, field, low)
            changes["q_high"] = _edge(option, field, high)
    for option, field in (("u_min", "value"), ("u_min_quantile", "quantile")):
        if options[option] is not None:
            changes["u_min"] = _edge(option, field, options[option])
    name = options["box"]
    if name is None and not changes and not _steers(options):
        if run.manifest.pool.name != "mini":
            raise UsageError(
                "no box is given: name one with --box, or give --q-band LO HI and --u-min X"
            )
        name = "mini"
    for option in ("limit", "rank"):
        if options[option] is not None:
            changes[option] = options[option]
    base = OPEN_BOX if name is None else load_manifest(BoxManifest, name)
    return base.model_copy(update=changes)


def _steers(options: Options) -> bool:
    """Whether the options say whom to choose without a box: by a rank of their own, or by where."""
    own_rank = options.get("rank") not in (None, "instability", "random")
    return own_rank or any(options.get(name) is not None for name in ("where", "weights"))


def _edge(option: str, field: str, value: object) -> Edge:
    """One edge; what is no number (nan, inf) is refused by its option's name."""
    try:
        return Edge.model_validate({field: value})
    except ValidationError as error:
        flag = f"--{option.replace('_', '-')}"
        raise UsageError(
            f"{flag} takes finite numbers, not {value}: give an edge's {field}"
        ) from error
