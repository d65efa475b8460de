"""What a choice came to that a person should know, in sentences: for the card and the terminal."""

from collections.abc import Iterator

from qibox.augment.pictures import CUT, LIGHT, QUALITY
from qibox.augment.rephrased import Rephrased
from qibox.selection.choose import Choice
from qibox.selection.mix import starved
from qibox.selection.quotas import shortfalls
from qibox.selection.ranking import rank_of
from qibox.selection.variants import Augment

RANKS = {
    "instability": "the most unstable first",
    "safety-spread": "first those on which models contradict themselves most in safety",
    "trainee": "first those on which the policy's own answers most likely differ in safety",
    "coverage": "each next one the farthest from all before it",
    "weights": "the largest value first",
    "random": "in random order",
}


def steering(choice: Choice) -> Iterator[str]:
    """How the choice was steered, besides box and frame."""
    request, twins = choice.request, choice.twins
    if request.where is not None:
        yield f"Of the pool, the {choice.met:,} samples alone that meet `{request.where}`"
    if request.box is not None and request.box.rank != "instability":
        yield f"Ranked by {request.box.rank}: {RANKS[request.box.rank]}"
    if request.weights is not None:
        yield f"Weights: `{request.weights}`"
    if (about := choice.covered) is not None:
        what = f"`{about['file']}`, sha256 {about['sha256']}" if "file" in about else about["from"]
        yield f"Spread over {what}"
    if choice.policy is not None:
        yield f"Profile of the policy `{choice.policy}`"
    if request.min_confidence is not None:
        yield (
            f"Of the box, only who lies in it in {request.min_confidence:g} of the resamples or "
            f"more: {choice.unsure:,} left out"
        )
    if request.recipe is not None:
        yield f"As many samples as recipe `{request.recipe}` has prompt slots: {request.wanted:,}"
    if twins is not None:
        yield (
            f"Twins: {twins.chosen:,} harmless samples that share picture or question with a "
            f"chosen risky one, {request.twins:g}% of the selection asked for"
        )


def varied(augment: Augment) -> Iterator[str]:
    """How variants are made."""
    if augment.pictures:
        low, high = QUALITY
        yield (
            f"Pictures: {augment.pictures:,} of each, up to {CUT:.0%} of each side cut off, up to "
            f"{LIGHT:.0%} lighter or darker, JPEG of quality {low} to {high}, seed {augment.seed}"
        )
    if (found := augment.paraphrases) is not None:
        count = f"{len(found.rows):,} other wordings"
        yield f"Questions: {count} by `{found.file}`, sha256 {found.sha256}"
    if augment.rephrased is not None:
        yield _rephrased(augment.rephrased)


def _rephrased(found: Rephrased) -> str:
    who = f"`{found.about['rephraser']}`"
    if "engine" in found.about:
        who += f" (`{found.about['model']}` on {found.about['engine']})"
    return (
        f"Questions rephrased by {who}: {len(found.kept):,} wordings that ask the same, as judge "
        f"`{found.about['judge']}` says, and {len(found.refused):,} refused"
    )


def screening(choice: Choice) -> Iterator[str]:
    """What a choice was compared with."""
    found = choice.screening
    if found is None:
        return
    against = ", ".join(f"{name} ({count:,})" for name, count in found.checked.items()) or "none"
    out = "kept, as allowed" if found.allow_overlap else "left out"
    yield (
        f"Compared with benchmarks {against}: {len(found.overlaps):,} samples like one of theirs "
        f"in picture and question, {out}; {found.near_pictures:,} chosen ones near in picture alone"
    )
    yield f"{len(found.duplicates):,} duplicates within the selection, left out"
    if found.variants:
        yield f"{len(found.variants):,} variants like a benchmark's sample, {out}"
    if found.unchecked:
        yield f"Not on this machine, so not compared: {', '.join(sorted(found.unchecked))}"


def warnings(choice: Choice) -> Iterator[str]:
    """What is less than was asked for, and what would give it."""
    request, twins, box = choice.request, choice.twins, choice.nearest
    if request.frame is not None:
        yield from shortfalls(request.frame, choice.quotas)
    if choice.unranked:
        by = "weights" if request.weights is not None else rank_of(request)
        yield f"{choice.unranked:,} samples cannot be ranked by {by} and were passed over"
    if twins is not None and twins.chosen < twins.wanted:
        yield f"{twins.chosen:,} of {twins.wanted:,} twins: no more harmless samples are like these"
    if choice.short:
        yield f"{len(choice.chosen):,} samples remain of the {request.wanted:,} asked for"
    if box is not None:
        yield _nearest(choice)
    yield from starved(choice.mix)


def _nearest(choice: Choice) -> str:
    box = choice.nearest
    assert box is not None
    edges = "; ".join(
        f"Q {each.box.q_low:.10g} to {each.box.q_high:.10g}, U from {each.box.u_min:.10g}"
        + (f" ({each.stratum})" if len(box.boxes) > 1 else "")
        for each in box.boxes
    )
    if box.enough:
        return f"the nearest box that gives them is {edges}"
    return f"no box gives them: the nearest that gives all there are is {edges}"
