"""Train the shipped models from nothing: ``python -m qibox.mini.train --out DIR``.

Reads nothing but this package. Writes one directory a model under DIR, in the usual Hugging Face
format with weights in float16. One trunk learns the ideal answers; each model is the trunk, tuned
to its persona (:mod:`qibox.mini.train.panel`). About six minutes on two cores, the same weights
for the same seed, versions and number of threads. Set OMP_WAIT_POLICY=PASSIVE on a busy machine.
"""

import argparse
import logging
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from qibox.torchvision_ops import declare_missing_operators

declare_missing_operators()

from qibox.mini.shipped import MINI  # noqa: E402
from qibox.mini.train.lessons import teach_ideal, teach_persona, teach_policy  # noqa: E402
from qibox.mini.train.making import repeatable, save, trunk, tune  # noqa: E402
from qibox.mini.train.panel import PANEL, POLICY  # noqa: E402
from qibox.mini.train.words import build_processor  # noqa: E402

TRUNK_STEPS, TUNE_STEPS, POLICY_STEPS = 600, 200, 300
POLICY_NAME = "policy"


def main() -> None:
    """Train and write the models named on the command line."""
    names = (*PANEL, POLICY_NAME)
    parser = argparse.ArgumentParser(prog="python -m qibox.mini.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory to write models under")
    parser.add_argument("--models", nargs="+", choices=names, default=names, help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=TRUNK_STEPS, help="of the trunk")
    parser.add_argument("--tune-steps", type=int, default=None, help="of each model")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("qibox").setLevel(logging.INFO)
    with repeatable():
        _make(options)


def _make(options: argparse.Namespace) -> None:
    processor = build_processor(MINI)
    start = trunk(MINI, processor, teach_ideal, options.steps, options.seed)
    for name in options.models:
        policy = name == POLICY_NAME
        steps = options.tune_steps or (POLICY_STEPS if policy else TUNE_STEPS)
        teacher = teach_policy(POLICY) if policy else teach_persona(PANEL[name])
        tuned = tune(start, MINI, processor, teacher, name, steps, options.seed)
        save(tuned, processor, options.out / name)


if __name__ == "__main__":
    main()
