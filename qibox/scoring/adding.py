"""Add a judge to a run, or to what policies answered below one, to rate the answers there.

The judge stands at the end of the manifest's judges, and no key of another file depends on that: no
model is asked, and the judgments of other judges and the scores stay as they are. What people said
of responses becomes recorded verdicts at RUN/labels/<judge>.parquet, joined by the text, so that
a label holds for its text alone, whatever a model is asked again.
"""

from collections.abc import Sequence

import pyarrow.compute as pc

from qibox.errors import UsageError, command
from qibox.judges.people import Label, Labels, recorded
from qibox.manifests.judge import JudgeManifest
from qibox.run.directory import Run
from qibox.run.layout import labels_path
from qibox.scoring.consent import Difference, check_consent, compare, moved, taken
from qibox.scoring.plan import Job, make_plan
from qibox.scoring.resolve import places_of, settled_judges


def people_judge(name: str, labels: Labels) -> JudgeManifest:
    """The judge that gives these labels."""
    return JudgeManifest(
        name=name,
        about="What people said of the responses.",
        kind="people",
        path=labels_path(name),
        revision=labels.revision,
    )


def job_of_judge(url: str, judge: JudgeManifest, labels: Labels | None = None) -> Job:
    """Take a judge into the run at a place, unless it is there, and say what it is to rate.

    Raises:
        UsageError: the run's pool or responses are not whole, it has another judge of that name, or
            a label is on a response that is not there.
    """
    run = Run.open_below(url)
    check_consent(compare(run.manifest, run.manifest), None, run.url)  # of another version?
    index = run.pool_index()
    if index is None:
        raise UsageError(f"the pool of {run.url} was not read to its end yet: {_ask(run)}")
    old = run.manifest
    (settled,) = (judge,) if judge.kind == "people" else settled_judges([judge], old)
    judges = {**{each.name: each for each in old.judges}, settled.name: settled}
    new = old.model_copy(update={"judges": tuple(judges.values())})
    places = places_of(new)
    new = taken(old, new)
    _refuse_another(run, settled, compare(old, new))
    again = Run(run.storage, new, run.home, run.pool_home)
    scores = ["scores"] if old.judges[0].name == settled.name else []
    only = frozenset([f"judgments-{settled.name}", *scores])
    job = Job(again, index, places=places | places_of_labels(again), only=only)
    plan = make_plan(job)
    asked = [u.path for w in plan.waves if w.stage.folder == "responses" for u in w.units]
    if missing := [path for path in asked if path not in plan.footers]:
        raise UsageError(
            f"{len(missing)} of {len(asked)} files of responses are missing in {run.url}, and a "
            f"judge asks no model: {_ask(run)}"
        )
    if labels is not None:
        _keep_labels(job, settled, labels)
    if len(new.judges) != len(old.judges) or moved(old, new):
        Run.create(run.storage, new, run.home, run.pool_home)
    return job


def places_of_labels(run: Run) -> dict[str, str]:
    """Where the labels of a run's judges lie that are people, as :func:`places_of` has it."""
    return {
        f"judge {judge.name}": f"{run.storage.url}/{labels_path(judge.name, run.home)}"
        for judge in run.manifest.judges
        if judge.kind == "people"
    }


def _ask(run: Run) -> str:
    step = "score" if not run.home else run.home.partition("/")[0]
    step = {"evaluations": "eval", "profiles": "profile"}.get(step, step)
    return f"the same {command(step)} that began it goes on with them"


def _refuse_another(run: Run, judge: JudgeManifest, differences: Sequence[Difference]) -> None:
    """Refuse a judge whose name in the run is another's."""
    own = f"judges.{judge.name}."
    listed = [str(d) for d in differences if d.stage is not None and d.key.startswith(own)]
    if listed:
        raise UsageError(
            f"{run.url} has another judge '{judge.name}': {'; '.join(listed[:4])}. Give this one a "
            "name of its own"
        )


def _keep_labels(job: Job, judge: JudgeManifest, labels: Labels) -> None:
    """Write the labels beside the texts that they are on, unless that was done before."""
    run = job.run
    path = labels_path(judge.name, run.home)
    if not run.storage.exists(path) or run.storage.table_key(path) != labels.revision:
        run.storage.write_table(path, recorded(_with_texts(job, labels)), labels.revision)


def _with_texts(job: Job, labels: Labels) -> list[tuple[Label, str]]:
    """Each label with the text that its response has."""
    models = job.run.manifest.panel.models
    for label in labels.rows:
        if label.model not in models:
            raise labels.fault(
                label.line, f"model '{label.model}' is none of {job.run.url}: {', '.join(models)}"
            )
    texts: dict[tuple[str, str, int], str | None] = {}
    for model in {label.model for label in labels.rows}:
        ids = sorted({label.sample_id for label in labels.rows if label.model == model})
        for unit in job.run.responses_units(model, job.shards):
            rows = job.run.storage.read_table(unit.path, ["sample_id", "k", "text"])
            for row in rows.filter(pc.field("sample_id").isin(ids)).to_pylist():
                texts[row["sample_id"], model, row["k"]] = row["text"]
    found = []
    for label in labels.rows:
        text = texts.get((label.sample_id, label.model, label.k))
        if text is None:
            whose = f"response {label.k} of model '{label.model}' to sample '{label.sample_id}'"
            there = (label.sample_id, label.model, label.k) in texts
            raise labels.fault(
                label.line, f"{whose} {'failed' if there else 'is not there'}: leave the line out"
            )
        found.append((label, text))
    return found
