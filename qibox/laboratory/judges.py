"""A laboratory's own judges, where they are wanted: manifests, and which are still to be trained.

    DIR/grm.yaml grm-b.yaml    manifests, as any command takes a judge
    DIR/models/grm grm-b       weights

They are asked and taught as the shipped ``grm-mini`` and ``grm-mini-b`` are, on the scenes of this
world and the answers of its models. They do not decide what a laboratory is: one made without them
gets them by the same command.
"""

from collections.abc import Iterator
from pathlib import Path

from qibox.laboratory.files import HERE, MODELS, dumped, head
from qibox.laboratory.plan import SIZES, Plan
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.load import load_manifest
from qibox.mini.train.lab_cast import POLICY
from qibox.run.storage import Storage

JUDGES = {"grm": "grm-mini", "grm-b": "grm-mini-b"}  # manifest and model → whose course it takes


def missing_judges(storage: Storage) -> list[str]:
    """Names of the judges that are still to be trained."""
    return [name for name in JUDGES if not storage.exists(f"{MODELS}/{name}")]


def write_judges(plan: Plan, storage: Storage) -> None:
    """Write the judges' manifests."""
    for name in JUDGES:
        manifest = _manifest(plan, Path(storage.root).resolve(), name)
        fields = manifest.model_dump(mode="json", exclude_unset=True)
        storage.write_text(f"{name}.yaml", dumped(fields))


def make_missing(plan: Plan, storage: Storage) -> Iterator[str]:
    """Train the judges that are not there yet, on the models that are; yields each one's name."""
    from qibox.mini_judges.lab import make_judges
    from qibox.mini_judges.responses import Voices

    folder = Path(storage.root).resolve()
    cast = plan.cast
    models = {name: folder / MODELS / name for name in (POLICY, *cast.panel)}
    judges = {JUDGES[name]: _manifest(plan, folder, name) for name in missing_judges(storage)}
    voices = Voices(plan.world, cast.panel, cast.policy)
    return make_judges(voices, models, judges, SIZES[plan.size].study)


def _manifest(plan: Plan, folder: Path, name: str) -> JudgeManifest:
    shipped = load_manifest(JudgeManifest, JUDGES[name])
    about = f"A small vision-language model that judges {plan.world.name}; it errs."
    model = {"source": str(folder / MODELS / name), "size_b": 0.001} | HERE
    fields = shipped.model_dump(mode="json", exclude_unset=True)
    own = head(f"{plan.world.name}-{name}", about) | {"model": model}
    return JudgeManifest.model_validate(fields | own)
