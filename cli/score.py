"""`qibox score`: pool → responses → judgments → scores."""

import math
from typing import TYPE_CHECKING, Any

import click

from qibox.cli.job_options import COLUMNS, job_options
from qibox.cli.wave_options import waves_options
from qibox.importing import importing
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.manifests.panel import PanelManifest
    from qibox.manifests.pool import PoolManifest
    from qibox.run.directory import RunManifest
    from qibox.run.storage import Storage

FLAGS = {f"columns.{c}": f"--{option.replace('_', '-')}" for option, c in COLUMNS.items()}
STAGES = ["pool", "responses", "judgments", "scores"]


@click.command(short_help="Let the panel answer a pool, judge every answer, and score the samples.")
@job_options
@click.option("--out", default=DEFAULT_RUN, show_default=True, help="Run directory or URL.")
@click.option(
    "--rescore",
    type=click.Choice(STAGES),
    help="Take a changed manifest into the run: redo this stage and later ones where they changed.",
)
@click.option("--dry-run", is_flag=True, help="List waves, units and calls, and stop.")
@waves_options
def command(
    out: str,
    rescore: Any,
    retry_failed: str | None,
    max_reject_rate: float,
    trust_remote_code: bool,
    dry_run: bool,
    quiet: bool,
    beam_options: tuple[str, ...],
    **options: Any,
) -> None:
    """Let every model of a panel answer every sample of a pool K times, judge all answers, score.

    Fills the run directory OUT. Stopped at any moment, the same command does what is missing and
    nothing else; with --retry-failed it asks again for what failed as well. Everything after --
    goes to Apache Beam, e.g. -- --runner=FlinkRunner.

    \b
    Example: qibox score --limit 100 --samples-per-model 3 --out runs/small
    """
    with importing():
        from qibox.cli import console
        from qibox.cli.account import print_mended, print_plan, print_summary
        from qibox.cli.wave_progress import ConsoleWatcher
        from qibox.pipelines.run import Settings, score_run
        from qibox.run.directory import read_run_manifest
        from qibox.run.place import check_place
        from qibox.scoring.opening import check_rejects, dry_plan

    if beam_options and not beam_options[0].startswith("-"):
        raise click.UsageError(
            f"'{beam_options[0]}' belongs to no option: a pool is given as --pool "
            f"{beam_options[0]}, and what comes after -- for Beam begins with --"
        )
    if not math.isfinite(max_reject_rate):
        raise click.UsageError("--max-reject-rate is no number: give a share from 0 to 1")
    storage = check_place(out)
    earlier = read_run_manifest(storage)
    anew = rescore == "pool"
    manifest = run_manifest(options, earlier, anew=anew, preview=dry_run)
    settings = Settings(beam_options, trust_remote_code)
    changed = None if earlier is None or anew else changed_pool(storage, earlier, manifest)
    if changed is not None and not quiet:
        console.err.print(f"Note: {changed}", highlight=False, markup=False, soft_wrap=True)
    if dry_run:
        print_plan(*dry_plan(storage, manifest, rescore, retry_failed), out)
        print_missing(manifest)
        return
    for caution in [] if quiet else cautions(manifest):
        console.err.print(f"Note: {caution}", highlight=False, markup=False, soft_wrap=True)
    watcher = ConsoleWatcher(quiet=quiet)
    summary = score_run(out, manifest, watcher, settings, rescore, retry_failed)
    if not quiet:
        print_summary(summary, out)
        print_mended(summary, retry_failed)
    check_rejects(summary, max_reject_rate)


def run_manifest(
    options: dict[str, Any],
    earlier: "RunManifest | None" = None,
    *,
    anew: bool = False,
    preview: bool = False,
) -> "RunManifest":
    """The manifest that the options describe, for a run that may have an ``earlier`` one.

    ``anew``: the hub is asked for its commits again. For a ``preview`` the models' weights need not
    be here.

    Raises:
        UsageError: a name, path or value that does not hold.
    """
    from qibox.errors import WeightsNotFoundError
    from qibox.judges.chosen import judges_of_pool
    from qibox.judges.placing import placed
    from qibox.scoring.resolve import resolve_run

    pool = chosen_pool(options)
    judges = placed(judges_of_pool(options["judges"], pool), options["judge_at"])
    panel = chosen_panel(options)
    try:
        return resolve_run(
            pool, panel, judges, options["limit"], earlier, anew=anew, preview=preview
        )
    except WeightsNotFoundError as error:
        fetch = ["qibox fetch --panel", options["panel"]]
        fetch += [f"--judge {judge.name}" for judge in judges if judge.model is not None]
        raise WeightsNotFoundError(f"{error}; all at once: `{' '.join(fetch)}`") from error


def print_missing(manifest: "RunManifest") -> None:
    """Print which weights the run would first have to fetch, with sizes; nothing if none."""
    from qibox.cli import console
    from qibox.cli.fetch import print_sizes
    from qibox.engines.needed import each_once, needed_by_judges, needed_by_models, sizes

    models = needed_by_models(manifest.panel.models.items())
    needed = each_once([*models, *needed_by_judges(manifest.judges)])
    missing = [each for each in sizes(needed) if each.count != 0]
    if missing:
        print_sizes(missing)
        names = " ".join(each.needed.name for each in missing)
        console.out.print(f"qibox fetch {names}", soft_wrap=True, highlight=False, markup=False)


def changed_pool(storage: "Storage", old: "RunManifest", new: "RunManifest") -> str | None:
    """Say that a local pool is not what the run had read; None where it is, or was not read yet."""
    from pathlib import Path

    from qibox.run.directory import POOL_INDEX
    from qibox.scoring.consent import changed_content

    if not storage.exists(POOL_INDEX):
        return None
    changed = list(changed_content(old.pool, new.pool))
    path = new.pool.path
    if old.pool.fingerprint is None and path is not None and storage.is_local:  # an earlier version
        source, index = Path(path), Path(storage.path(POOL_INDEX))
        later = source.exists() and source.stat().st_mtime > index.stat().st_mtime
        changed += [path] if later else []
    if not changed:
        return None
    return f"{', '.join(changed)} changed after this run had read it: --rescore pool reads it again"


def cautions(manifest: "RunManifest") -> list[str]:
    """What would make a run's scores mean less than they seem to."""
    found = []
    mini = manifest.pool.format == "mini"
    builtin = [n for n, m in manifest.panel.models.items() if m.source.startswith("builtin:")]
    if builtin and not mini:
        models = "1 model" if len(builtin) == 1 else f"{len(builtin)} models"
        verb = "knows" if len(builtin) == 1 else "know"
        found.append(
            f"{models} of panel {manifest.panel.name} {verb} the miniature world alone, "
            f"not pool {manifest.pool.name}: --panel names another, such as seven"
        )
    judge = manifest.judges[0]
    if judge.kind == "hash":
        found.append(f"judge {judge.name} draws its verdicts: these scores mean nothing")
    if judge.model and judge.model.source.startswith("builtin:") and not mini:
        found.append(
            f"judge {judge.name} knows the miniature world alone, not pool {manifest.pool.name}: "
            "--judge names another, such as grm"
        )
    return found


def chosen_panel(options: dict[str, Any]) -> "PanelManifest":
    """The panel with the models, engine, K and seed that were asked for."""
    from qibox.manifests.load import load_manifest
    from qibox.manifests.panel import PanelManifest
    from qibox.scoring import resolve

    panel = load_manifest(PanelManifest, options["panel"])
    panel = resolve.choose_sampling(panel, options["samples_per_model"], options["seed"])
    if options["models"]:
        names = [name.strip() for name in options["models"].split(",")]
        panel = resolve.choose_models(panel, names)
    if options["replay"]:
        return resolve.replay_responses(panel, options["replay"])
    return resolve.choose_engine(panel, options["engine"]) if options["engine"] else panel


def chosen_pool(options: dict[str, Any]) -> "PoolManifest":
    """The pool by its manifest's name or path, or guessed from a file or directory of data."""
    from pathlib import Path

    from qibox.errors import UsageError
    from qibox.manifests.load import list_manifests, load_manifest
    from qibox.manifests.pool import PoolManifest

    pool = options["pool"]
    columns = {c: options[o] for o, c in COLUMNS.items() if options[o] is not None}
    is_name = pool in list_manifests(PoolManifest) or pool.endswith((".yaml", ".yml"))
    is_data = not is_name and ("/" in pool or Path(pool).exists())
    if is_data:
        from qibox.cli.console import err
        from qibox.pool.guess import pool_from_path, said_aloud

        guessed = pool_from_path(pool, images=options["images"], columns=columns)
        err.print(said_aloud(guessed), markup=False, highlight=False, soft_wrap=True)
        return guessed
    if columns or options["images"]:
        raise UsageError(
            f"--pool {pool} is a manifest, which names its own columns and images: change it there"
        )
    return load_manifest(PoolManifest, pool)
