"""A selection's dataset card: README.md as the hub and ``datasets.load_dataset`` read it."""

from collections.abc import Iterator, Sequence

import yaml

from qibox.manifests.box import BoxManifest, Edge
from qibox.manifests.pool import PoolManifest
from qibox.run.directory import Run
from qibox.selection.choose import Choice
from qibox.selection.mix import MixRow, starved
from qibox.selection.request import Request

UNKNOWN_LICENSE = "unknown"  # the hub's word for it


def dataset_card(run: Run, choice: Choice) -> str:
    """The card: licences, what was asked, by which values, the mix before and after."""
    licenses = {name: license_of(run.manifest.pool, name) for name in choice.sources}
    return "\n".join(
        [
            *_head(choice, licenses),
            *_counts(run, choice),
            *_sources(choice, licenses),
            *_edges(choice),
            *_mix(choice.mix),
            *_reproduce(choice.request),
        ]
    )


def license_of(pool: PoolManifest, source: str) -> str | None:
    """The licence that a pool's manifest gives for one of its sources; None if it gives none."""
    for part in pool.parts:
        if isinstance(part, PoolManifest) and (found := license_of(part, source)):
            return found
    return pool.license if pool.name == source else None


def command_line(request: Request) -> str:
    """The command that asks for the same; a box it cannot spell out is its manifest's."""
    words = ["qibox select RUN"]
    if request.random is not None:
        words.append(f"--random {request.random}")
    if request.box is not None:
        words += _box_words(request.box)
    if request.within != "pool":
        words.append(f"--within {request.within}")
    if request.seed:
        words.append(f"--seed {request.seed}")
    if request.name != "default":
        words.append(f"--name {request.name}")
    return " ".join(words)


def _box_words(box: BoxManifest) -> Iterator[str]:
    low, high, least = box.q_low, box.q_high, box.u_min
    if low.value is not None and high.value is not None:
        yield f"--q-band {low.value:.15g} {high.value:.15g}"
    elif low.quantile is not None and high.quantile is not None:
        yield f"--q-band-quantile {low.quantile:.15g} {high.quantile:.15g}"
    else:
        yield f"--box {box.name}"
    if least.value is not None:
        yield f"--u-min {least.value:.15g}"
    else:
        yield f"--u-min-quantile {least.quantile:.15g}"
    if box.limit is not None:
        yield f"--limit {box.limit}"
    if box.rank != "instability":
        yield f"--rank {box.rank}"


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
    return ["## Sources", "", *_table(("source", "licence", "samples"), rows), ""]


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
    limit = "" if box.limit is None else f", at most {box.limit:,} by {box.rank}"
    within = "" if request.within == "pool" else f", within each {request.within}"
    return [
        "## Box",
        "",
        f"{asked}{limit}{within}. Edges are included. A quantile p is the smallest written value "
        "that at least a share p of the stratum's scored samples do not exceed.",
        "",
        *_table(header, rows),
        "",
    ]


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
    return ["## Mix", "", *_table(header, rows), "", *warnings, *([""] if warnings else [])]


def _reproduce(request: Request) -> list[str]:
    return [
        "## Reproduce",
        "",
        "```",
        command_line(request),
        "```",
        "",
        "`selection.yaml` holds the keys of the run and of every shard of its scores.",
        "",
    ]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield _line(header)
    yield _line(("---",) * len(header))
    yield from map(_line, rows)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"
