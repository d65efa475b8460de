"""Train the small judges from nothing: ``python -m qibox.mini_judges --out DIR``.

Reads this package and the shipped panel. Writes one directory a judge under DIR, in the usual
Hugging Face format with weights in float16; its prompts are those of its manifest's rubric. The
same weights for the same seed, versions and number of threads. Set OMP_WAIT_POLICY=PASSIVE on a
busy machine.
"""

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from qibox.torchvision_ops import declare_missing_operators

declare_missing_operators()

import torch  # noqa: E402

from qibox.manifests import JudgeManifest, load_manifest  # noqa: E402
from qibox.mini.train.making import repeatable, save  # noqa: E402
from qibox.mini_judges.responses import answered  # noqa: E402
from qibox.mini_judges.study import Study  # noqa: E402
from qibox.mini_judges.teaching import COURSES, TERMS, teach  # noqa: E402


def main() -> None:
    """Train and write the judges named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m qibox.mini_judges", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory to write judges under")
    parser.add_argument("--judges", nargs="+", choices=COURSES, default=list(COURSES))
    parser.add_argument("--steps", type=int, default=None, help="of each term; for trials")
    parser.add_argument(
        "--asked", type=int, default=Study().asked, help="scenes each panel model answers"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("qibox").setLevel(logging.INFO)
    torch.set_num_threads(1)  # the same sums whatever the machine; threads help little at this size
    terms = [replace(term, steps=options.steps or term.steps) for term in TERMS]
    with repeatable():
        for name in options.judges:
            manifest = load_manifest(JudgeManifest, name)
            said = answered(name, options.asked)
            trainer, processor = teach(manifest, COURSES[name], terms, said)
            save(trainer, processor, options.out / name)


if __name__ == "__main__":
    main()
