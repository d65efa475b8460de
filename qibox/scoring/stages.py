"""All stages, in the order of work. A further one is a file of its own and a line here."""

from typing import Any

from qibox.run.directory import Run
from qibox.scoring.aggregate import ScoreSamples
from qibox.scoring.generate import AskModel
from qibox.scoring.judge import JudgeResponses
from qibox.scoring.stage import Stage

STAGES: tuple[type[Stage[Any]], ...] = (AskModel, JudgeResponses, ScoreSamples)
STAGE_FOLDERS = tuple(kind.folder for kind in STAGES)
ASKING_FOLDERS = tuple(kind.folder for kind in STAGES if kind.asks)


def stages_of(run: Run) -> list[Stage[Any]]:
    """What a run's manifest asks for, in the order of work: each model, each judge, the scores."""
    return [stage for kind in STAGES for stage in kind.of(run)]
