"""A selection's dataset card: README.md as the hub and ``datasets.load_dataset`` read it."""

from collections.abc import Sequence

import yaml

from qibox.manifests.box import Edge
from qibox.manifests.pool import PoolManifest
from qibox.markdown import markdown_table
from qibox.run.directory import Run
from qibox.selection.audited import audit_section
from qibox.selection.choose import Choice
from qibox.selection.figure import FIGURE
from qibox.selection.frame import quota_text
from qibox.selection.mix import MixRow, starved
from qibox.selection.notes import screening, steering, varied, warnings
from qibox.selection.quotas import shortfalls
from qibox.selection.screening import LEFT_OUT
from qibox.selection.variants import REFUSED, Augment

LISTED = 20  # samples that are like another, in the card
UNKNOWN_LICENSE = "unknown"  # the hub's word for it


def dataset_card(run: Run, choice: Choice, command: str | None = None, variants: int = 0) -> str:
    """The card: licences, what was asked, by which values, the mix before and after.

    ``command`` is what a person would type to ask for the same, where there is such a line;
    ``variants`` are rows beside the chosen samples.
    """
    licenses = {name: license_of(run.manifest.pool, name) for name in choice.sources}
    return "\n".join(
        [
            *_head(choice, licenses),
            *_counts(run, choice),
            *_sources(choice, licenses),
            *_picture(),
            *_edges(choice),
            *_frame(choice),
            *_steering(choice),
            *_variants(choice, variants),
            *_screening(choice),
            *_mix(choice.mix),
            *audit_section(run),
            *_reproduce(command),
        ]
    )


def license_of(pool: PoolManifest, source: str) -> str | None:
    """The licence that a pool's manifest gives for one of its sources; None if it gives none."""
    for part in pool.parts:
        if isinstance(part, PoolManifest) and (found := license_of(part, source)):
            return found
    return pool.license if pool.name == source else None


def _head(choice: Choice, licenses: dict[str, str | None]) -> list[str]:
    """YAML that the hub and the datasets library read."""
    found = sorted({(name or UNKNOWN_LICENSE).lower() for name in licenses.values()})
    head = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
            }
        ],
        "license": found[0] if len(found) == 1 else found,
        "task_categories": ["image-text-to-text"],
        "tags": ["safety", "vision-language", "qi-box"],
    }
    text = yaml.safe_dump(head, sort_keys=False)
    return ["---", text.rstrip(), "---", f"# Selection {choice.request.name}", ""]


def _counts(run: Run, choice: Choice) -> list[str]:
    """What is here, in a paragraph."""
    judge, models = run.manifest.judges[0].name, run.manifest.panel.models
    how = (
        f"{choice.passed:,} lay in the box"
        if choice.request.box
        else "they were drawn at random, as a control of the box"
    )
    return [
        f"{len(choice.chosen):,} image and question samples, chosen by qibox from a pool of "
        f"{choice.samples:,}: {choice.scored:,} had scores, {how}.",
        "",
        f"Quality Q (1 to 10) and instability U (0 to 4.5) come from the judge `{judge}` and the "
        f"answers of {len(models)} models: {', '.join(models)}. `prompt` and `images` are what "
        "TRL's trainers take; the other columns say where a sample is from and how it was scored.",
        "",
    ]


def _sources(choice: Choice, licenses: dict[str, str | None]) -> list[str]:
    rows = [
        (name, licenses[name] or UNKNOWN_LICENSE, f"{count:,}")
        for name, count in choice.sources.items()
    ]
    return ["## Sources", "", *markdown_table(("source", "licence", "samples"), rows), ""]


def _picture() -> list[str]:
    text = "Where the pool's samples lie by quality and instability, and the mix before and after"
    return ["## Where they lie", "", f"![{text}]({FIGURE})", ""]


def _edges(choice: Choice) -> list[str]:
    box, request = choice.request.box, choice.request
    if box is None:
        return []
    header = ("stratum", "Q from", "Q to", "U from", "scored", "in the box", "chosen")
    rows = [
        (
            stratum.stratum,
            f"{stratum.box.q_low:.6g}",
            f"{stratum.box.q_high:.6g}",
            f"{stratum.box.u_min:.6g}",
            f"{stratum.scored:,}",
            *(f"{count:,}" for count in choice.by_stratum[stratum.stratum]),
        )
        for stratum in choice.boxes
    ]
    asked = (
        f"Asked for: Q from {_words(box.q_low)} to {_words(box.q_high)}, U from {_words(box.u_min)}"
    )
    limit = f", at most {box.limit:,} by {box.rank}" if box.limit is not None else ""
    if request.frame is not None:
        limit = f", by {box.rank} within the frame"
    within = "" if request.within == "pool" else f", within each {request.within}"
    return [
        "## Box",
        "",
        f"{asked}{limit}{within}. Edges are included. A quantile p is the smallest written value "
        "that at least a share p of the stratum's scored samples do not exceed.",
        "",
        *markdown_table(header, rows),
        "",
    ]


def _frame(choice: Choice) -> list[str]:
    frame = choice.request.frame
    if frame is None:
        return []
    rows = [
        (*row.values, *(f"{n:,}" for n in (row.pool, row.wanted, row.available, row.chosen)))
        for row in choice.quotas
    ]
    header = (*frame.stratify, "pool", "wanted", "available", "chosen")
    size = choice.request.size or choice.request.random
    quotas = "; ".join(quota_text(column, quota) for column, quota in frame.quotas().items())
    short = [f"- Short: {sentence}." for sentence in shortfalls(frame, choice.quotas)]
    return [
        "## Frame",
        "",
        f"Asked for: {size:,} samples, {quotas}. Each column's quota holds within each stratum of "
        "those before it, rounded by largest remainders. What a stratum lacks is divided among "
        "those beside it in proportion to their quotas.",
        "",
        *markdown_table(header, rows),
        "",
        *short,
        *([""] if short else []),
    ]


def _steering(choice: Choice) -> list[str]:
    how = [f"- {sentence}." for sentence in steering(choice)]
    told = {*starved(choice.mix)}
    if choice.request.frame is not None:
        told |= {*shortfalls(choice.request.frame, choice.quotas)}
    less = [f"- Short: {each}." for each in warnings(choice) if each not in told]
    return ["## Also", "", *how, *less, ""] if how or less else []


def _variants(choice: Choice, variants: int) -> list[str]:
    if choice.augment is None:
        return []
    return [
        "## Variants",
        "",
        f"Beside the {len(choice.chosen):,} samples there are {variants:,} rows made of them "
        "(`variant_of` names the sample, `variant` what of it was changed), to be trained on and "
        "never evaluated on. They carry the scores and labels of their sample, and no other number "
        "of this card counts them.",
        "",
        *(f"- {each}." for each in varied(choice.augment)),
        "",
        *_refused(choice.augment),
    ]


def _refused(augment: Augment) -> list[str]:
    """The first wordings that were refused, and why."""
    if augment.rephrased is None or not len(rows := augment.rephrased.refused):
        return []
    header = ("sample", "question", "refused wording", "why")
    names = ("sample_id", "question", "wording", "reason")
    listed = [tuple(row[n] or "–" for n in names) for row in rows.slice(0, LISTED).to_pylist()]
    rest = f"All {len(rows):,} are in `{REFUSED}`."
    return [*markdown_table(header, listed), "", rest, ""]


def _screening(choice: Choice) -> list[str]:
    found = choice.screening
    if found is None:
        return []
    header = ("sample", "is like", "of", "pictures differ by", "questions agree by")
    rows = [
        (
            row["sample_id"],
            row["like"],
            row["benchmark"] or "the selection",
            "–" if row["distance"] is None else f"{row['distance']:.3f}",
            f"{row['similarity']:.0%}",
        )
        for row in found.findings.slice(0, LISTED).to_pylist()
    ]
    table = [*markdown_table(header, rows), ""] if rows else []
    more = len(found.findings) - len(rows)
    rest = [f"{more:,} more are in `{LEFT_OUT}`.", ""] if more else []
    return ["## Kept apart", "", *(f"- {each}." for each in screening(choice)), "", *table, *rest]


def _words(edge: Edge) -> str:
    return f"{edge.value:g}" if edge.quantile is None else f"quantile {edge.quantile:g}"


def _mix(mix: Sequence[MixRow]) -> list[str]:
    header = ("stratum", "value", "pool", "share", "selection", "share")
    rows = [
        (
            row.dimension,
            row.value,
            f"{row.before:,}",
            f"{row.share_before:.1%}",
            f"{row.after:,}",
            f"{row.share_after:.1%}",
        )
        for row in mix
    ]
    warnings = [f"- Starved: {sentence}." for sentence in starved(mix)]
    return ["## Mix", "", *markdown_table(header, rows), "", *warnings, *([""] if warnings else [])]


def _reproduce(command: str | None) -> list[str]:
    return [
        "## Reproduce",
        "",
        *(["```", command, "```", ""] if command else []),
        "`selection.yaml` holds what was asked for, and the keys of the run and of every shard of "
        "its scores.",
        "",
    ]
