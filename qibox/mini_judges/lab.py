"""Train a laboratory's judges: the shipped ones' courses, on its own scenes and models."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from qibox.manifests import JudgeManifest
from qibox.mini.train.making import repeatable, stand
from qibox.mini_judges.responses import Voices, asked
from qibox.mini_judges.study import Study
from qibox.mini_judges.teaching import COURSES, TERMS, teach


def make_judges(
    voices: Voices, models: Mapping[str, Path], judges: Mapping[str, JudgeManifest], study: Study
) -> Iterator[str]:
    """Train judges where their manifests say they lie; yields each one's name when it stands.

    ``models`` are those whose answers they learn to rate; ``judges`` are manifests by the shipped
    judge whose course each takes.
    """
    terms = [replace(term, steps=study.steps or term.steps) for term in TERMS]
    for course, manifest in judges.items():
        assert manifest.model is not None
        folder = Path(manifest.model.source)
        with repeatable():
            said = asked(models, manifest.name, study.asked, voices.world)
            made = teach(manifest, COURSES[course], terms, said, voices, study.tokenized)
            stand(*made, folder.parent, folder.name)
        yield folder.name
