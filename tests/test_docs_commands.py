"""Each command of the docs is run: here, on less, or by a test that is named here.

Here it runs in a copy of a small miniature run, as it stands in the docs but for two things: what
no test machine has is replaced by what stands in for it (``STAND_INS``), and options that make it
small are put after its own (``SMALLER``). A command that needs more is run by the test that
``ELSEWHERE`` names; what no test can run has its reason in ``NOT_HERE``.
"""

import ast
import csv
import importlib.util
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import fsspec
import pytest
import yaml

from tests.commands import qibox
from tests.documented import DOCUMENTED, OTHERS, ROOT, words_of
from tests.endpoint import serving
from tests.pool.making import picture

STORE = "memory://bucket/run"  # storage that is no local disk, as an object store is none
SERVER = "http://127.0.0.1:8000/v1"  # the docs'; a test's endpoint plays the judge served there

PLACEHOLDERS = {
    "RUN": "runs/mini", "SAMPLE_ID": "mini-000003", "SEED": "1", "random-SEED": "default",
    "--name random-SEED": "other", "--out RUN": "runs/other",
    "--policy A": "default", "--policy B": "builtin:policy", "--policy P": "builtin:policy",
    "--pool P": "mini", "--panel P": "mini", "--judge J": "hash", "--recipe R": "mini",
    "--for-recipe R": "mini",
    "--judges A": "oracle", "A B": "hash", "--judge B": "hash", "POLICY": "default",
}  # fmt: skip
PUBLISHED = {  # data and weights; and a bucket
    "qi-pool-159k": "mini", "seven": "mini", "qi-safe-10k": "mini", "six": "mini",
    "safer-vlm-7b": "mini", "Qwen/Qwen2.5-VL-7B-Instruct": "builtin:policy",
    "spa-vl": "mini", "people": "audit",
    "grm": "hash", "gpt-4o-mini": "oracle", "s3://bucket/run": STORE,
    "--out s3://bucket/run": "runs/other",
}  # fmt: skip
SERVED = {"grm": "judge.yaml", "safer-vlm-7b": "recipe.yaml"}  # where the docs' server is named
STAND_INS = {"doctor": PLACEHOLDERS}  # by command; doctor tells of published things as they are
SMALLER = {
    "score --out": ["--limit", "8", "--samples-per-model", "2"],
    "score": ["--limit", "16", "--samples-per-model", "2"],
    "select --random": ["--random", "4", "--overwrite"],
    "select --size": ["--size", "4", "--overwrite"],
    "select": ["--overwrite"],
    "train --processes": ["--steps", "1", "--processes", "1", "--name", "served"],
    "train": ["--steps", "1"],
    "eval": ["--limit", "4"],
    "profile": ["--limit", "4"],
    "value": ["--limit", "4"],
    "audit --twice": ["--twice", "2"],
    "plan": ["--probe", "2"],
}
BASE = (  # commands of the docs that make the run of which each other one gets a copy
    "qibox score",
    "qibox select --random 200 --name control",
    "qibox select --random 416 --seed SEED --name default",
    "qibox train",
    "qibox eval",
    "qibox judge runs/mini --judge hash",
    "qibox judge runs/mini --labels audit.csv --name audit",
    "qibox profile",
)

ELSEWHERE = {  # pattern of a command: the test that runs it
    r"audit .*/evaluations/.*": "cli/test_audit.py::test_tables_and_commands_that_run",
    r"audit .*--reflections .*": "audit/test_reflections.py::test_reflections_by_hand",
    r"plot (RUN|runs/mini) audit": "cli/test_audit.py::test_tables_and_commands_that_run",
    r"cluster local.*|score .*--runner=DaskRunner.*": "pipelines/test_dask.py::"
    "test_recorded_responses_are_judged_and_scored_as_on_one_machine",
    r"compare( (RUN )?--selections.*)?": "cli/test_compare.py::"
    "test_stopped_in_the_middle_it_ends_as_an_unbroken_one",
    r"eval --engine openai .*": "cli/test_served_policies.py::"
    "test_a_policy_and_its_start_are_asked_of_a_server",
    r"explore( RUN| runs/mini)?": "page/test_browser.py::"
    "test_a_box_is_moved_a_sample_opened_and_the_command_selects_what_was_shown",
    r"fetch .*--to .*": "cli/test_fetch.py::"
    "test_what_was_fetched_into_a_folder_is_scored_with_where_there_is_no_network",
    r"fetch .*": "cli/test_fetch.py::test_a_recipe_needs_its_policy_and_its_judge",
    r"plan( --.*)?": "cli/test_plan.py::test_a_job_that_has_not_begun",
    r"serve": "engines/test_vllm.py::TestServer",
    r"sql": "cli/test_sql_typed.py::test_on_a_terminal",
    r"train .*--accelerate-config .*": "cli/test_train.py::"
    "test_several_processes_are_started_by_one_command",
    r"world.*": "laboratory/test_two_worlds.py::test_every_step_of_a_world_leaves_what_it_should",
}
NOT_HERE = {  # pattern of a command: why nothing here can run it
    r"plot|show": "it is named, without what it needs",
    r"demo": "`make demo` runs it beside the tests, in minutes",
    r"score --engine vllm .*": "seven models under vLLM; one, and a judge, in tests/engines",
    r"score .*--runner=(Flink|Portable)Runner.*": "a Flink cluster, or workers in containers",
    r"serve .+": "a GPU; without, the server of tests/engines/test_vllm.py",
    r"train .*--judge-gpus .*": "GPUs",
    r"(train|value|score|profile|compare) .*/lab-[01].*": "a laboratory; a toy in tests/laboratory",
}


def matching(patterns: dict[str, str], command: str) -> str | None:
    """What is said of the first pattern that is the whole command, after its program's name."""
    line = " ".join(words_of(command))
    return next((said for each, said in patterns.items() if re.fullmatch(each, line)), None)


def resolved(command: str) -> tuple[str, ...]:
    """The words that are run: with what stands in here, and smaller."""
    name, *words = words_of(command)
    stand_ins = STAND_INS.get(name, PLACEHOLDERS | PUBLISHED)
    if SERVER in command:
        stand_ins = stand_ins | SERVED
    before = ["", *words]
    pairs = [f"{option} {word}" for option, word in zip(before, words, strict=False)]
    words = [
        stand_ins.get(pair, stand_ins.get(word, word))
        for pair, word in zip(pairs, words, strict=True)
    ]
    end = words.index("--") if "--" in words else len(words)
    for key, more in SMALLER.items():
        of, *options = key.split()
        if name == of and {*options} <= {*words}:
            words[end:end] = more
            break
    return (name, *words)


def run_here() -> Iterator[tuple[str, ...]]:
    for _, command in DOCUMENTED:
        if matching(ELSEWHERE, command) is None and matching(NOT_HERE, command) is None:
            yield resolved(command)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the docs name, and runs/mini made by commands of the docs."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_files(folder)
        for command in BASE:
            done = qibox(*resolved(command))
            assert done.status == 0, done.stderr
    return folder


def write_files(folder: Path) -> None:
    shipped = ROOT / "data_manifests"
    shutil.copy(shipped / "pools/mini.yaml", folder / "my-pool.yaml")
    shutil.copy(min((shipped / "comparisons").glob("*.yaml")), folder / "plan.yaml")
    judge = yaml.safe_load((shipped / "judges/grm.yaml").read_text())
    judge["model"] |= {"source": "grm", "revision": "abc"}  # as the endpoint says it serves
    (folder / "judge.yaml").write_text(yaml.safe_dump(judge))
    recipe = yaml.safe_load((shipped / "recipes/mini.yaml").read_text())
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"judge": "judge.yaml"}))
    (folder / "pictures").mkdir()
    rows = [(f"what is {i} ?", f"{i}.png") for i in range(4)]
    for i in range(4):
        (folder / f"pictures/{i}.png").write_bytes(picture(i))
    labels = [("mini-000003", "strong", k, "true", 9 - k, "ann") for k in range(2)]
    for name, header, lines in (
        ("questions", ("question", "image"), rows),
        ("labels", ("sample_id", "model", "k", "safe", "score", "who"), labels),
        ("audit", ("sample_id", "model", "k", "safe", "score", "who"), labels),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])


@pytest.fixture
def inside(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the base, which is where one is."""
    monkeypatch.chdir(shutil.copytree(base, tmp_path / "copy"))
    return tmp_path / "copy"


@pytest.fixture
def store(inside: Path) -> Iterator[None]:
    """The run in a storage that is no local disk."""
    fs, place = fsspec.core.url_to_fs(STORE)
    fs.put(str(inside / "runs/mini"), place, recursive=True)
    yield
    fs.rm(place, recursive=True)


@pytest.mark.slow  # all together, and what makes the run before the first
@pytest.mark.parametrize("words", dict.fromkeys(run_here()), ids=" ".join)
def test_it_runs(words: tuple[str, ...], inside: Path, request: pytest.FixtureRequest) -> None:
    if STORE in words:
        request.getfixturevalue("store")
    with serving() as endpoint:
        done = qibox(*(word.replace(SERVER, endpoint.url) for word in words))
    assert done.status == 0, done.stderr


def test_what_makes_the_run_is_of_the_docs() -> None:
    documented = {resolved(command) for _, command in DOCUMENTED}
    assert {resolved(command) for command in BASE if "--name default" not in command} <= documented


@cache
def words_in(path: Path) -> frozenset[str]:
    """All words of the strings of a test's file and of those of tests' that it imports."""
    tree = ast.parse(path.read_text())
    found = {
        word
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in node.value.split()
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            found |= words_in((ROOT / str(node.module).replace(".", "/")).with_suffix(".py"))
    return frozenset(found)


@pytest.mark.parametrize(("pattern", "test"), ELSEWHERE.items())
def test_what_runs_elsewhere_is_run_there(pattern: str, test: str) -> None:
    file, _, name = test.partition("::")
    path = ROOT / "tests" / file
    assert name in {each.name for each in ast.parse(path.read_text()).body if hasattr(each, "name")}
    commands = [
        command for _, command in DOCUMENTED if matching({pattern: ""}, command) is not None
    ]
    assert commands, "no command of the docs is this: take the pattern out"
    for command in commands:
        words = " ".join(words_of(command)).partition(" -- ")[0].split()
        used = {words[0], *(word for word in words if word.startswith("--"))} - {"--limit"}
        assert used <= words_in(path), f"{file} does not run {command}"


@pytest.mark.parametrize("pattern", NOT_HERE)
def test_what_cannot_run_is_of_the_docs(pattern: str) -> None:
    assert any(matching({pattern: ""}, command) is not None for _, command in DOCUMENTED)


@pytest.mark.parametrize(("page", "command"), OTHERS)
def test_other_programs_are_there(page: str, command: str) -> None:
    """Measurements and targets, which people run: the file or target, and its options."""
    program, *words = command.split("#")[0].split()
    if program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), page
        return
    if words[0] == "-m":
        found = importlib.util.find_spec(words[1])
        assert found is not None, page
        path = Path(str(found.origin))
    elif words[0] == "cluster.py":  # which the page has the reader make
        return
    else:
        path = ROOT / words[0]
    options = {word for word in words[1:] if word.startswith("--") and "=" not in word}
    assert options <= words_in(path), page
