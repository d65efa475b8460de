"""The domain names values in what it says, and leaves it to the command line to name options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*|(?<![\w-])--(?= |$)")
OF_OTHER_PROGRAMS = {  # which options of which program a file gives or names
    "qibox/doctor/machine.py": {"--query-gpu", "--format"},  # nvidia-smi
    "qibox/engines/serving.py": {"--served-model-name", "--no-", "--"},  # vLLM's server
    "qibox/pool/hub.py": {"--repo-type", "--local-dir"},  # hf download
    "grpo/configuring.py": {"--nproc-per-node"},  # torchrun
    "grpo/sharding.py": {"--config_file", "--num_processes"},  # accelerate launch
    "grpo/train.py": {"--nproc-per-node"},
    "pipelines/wave.py": {"--direct_num_workers"},  # Apache Beam
    "pipelines/on_dask.py": {"--nthreads", "--resources"},  # dask worker
    "pipelines/cluster.py": {  # dask worker, sbatch, and the command that scores there
        *("--name", "--nthreads", "--resources", "--gres"),
        *("--", "--runner", "--dask_client_address"),
    },
    "qibox/figures/style.py": {"--"},
}
PROGRAMS = {  # have their own
    f"qibox/{room}/{name}.py"
    for room in ("mini/train", "mini_judges")
    for name in ("__main__", "__init__")
}


def texts(source: str) -> Iterator[str]:
    """Every string of a source, docstrings too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def options(source: str) -> set[str]:
    return {found for text in texts(source) for found in OPTION.findall(text)}


def test_the_check_sees_an_option_wherever_it_stands() -> None:
    assert options("'give another with --out'") == {"--out"}
    assert options("f'take --engine {x}, or --rescore={y}'") == {"--engine", "--rescore"}
    assert options("def f():\n    '''What ``--judge-at`` says.'''") == {"--judge-at"}
    assert options("f'--{name}-column'") == {"--"}
    assert options("'what comes after -- is for Beam'") == {"--"}
    assert options("'a -- b', 'non-negative', 'x--y'  # --out") == {"--"}


def test_no_room_but_the_command_line_names_its_options() -> None:
    files = [f for folder in ("qibox", "grpo", "pipelines") for f in (ROOT / folder).rglob("*.py")]
    assert len(files) > 150
    found = {str(file.relative_to(ROOT)): options(file.read_text()) for file in files}
    kept = {name: flags for name, flags in found.items() if flags and name not in PROGRAMS}
    assert kept == OF_OTHER_PROGRAMS
