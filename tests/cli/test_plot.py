import io
import json
from pathlib import Path

import pytest
from PIL import Image

from qibox.cli.plot import KINDS
from qibox.figures import kinds
from qibox.run.directory import Run
from tests.commands import qibox
from tests.evaluations import write_world
from tests.runs import manifest, sample, write_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    rows = [
        sample(f"s{i}", 1.0 + i, i / 2, risk="none" if i % 3 else "explicit") for i in range(10)
    ]
    return write_run("runs/mini", rows, made_of=manifest(name="mini"))


def is_picture(file: str) -> bool:
    content = Path(file).read_bytes()
    if file.endswith(".svg"):
        return content.startswith(b"<?xml")
    return Image.open(io.BytesIO(content)).width > 400


def test_the_command_names_every_kind() -> None:
    assert tuple(kinds.KINDS) == KINDS


@pytest.mark.parametrize("kind", ["box", "scores", "models"])
@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_scored_run_is_drawn_with_the_same_bytes_each_time(
    run: Run, kind: str, form: str
) -> None:
    for name in ("one", "two"):
        done = qibox("plot", "runs/mini", kind, "-o", f"{name}.{form}")
        assert (done.status, done.stdout) == (0, f"wrote {name}.{form}\n")
    assert is_picture(f"one.{form}")
    assert Path(f"one.{form}").read_bytes() == Path(f"two.{form}").read_bytes()


def test_a_selections_box_and_its_card_show_the_same(run: Run) -> None:
    assert qibox("select", "--q-band", 4, 8, "--u-min", 1.5).status == 0
    card = run.storage.read_text("selections/default/README.md")
    assert "](box.png)" in card
    assert is_picture("runs/mini/selections/default/box.png")
    axes = kinds.figure(run, "box").axes[0]
    (box,) = axes.patches
    assert box.get_bbox().extents.tolist() == [4, 1.5, 8, 4.5]  # type: ignore[attr-defined]


def test_histograms_are_of_the_selections_samples(run: Run) -> None:
    assert qibox("select", "--q-band", 4, 8, "--u-min", 1.5, "--name", "mine").status == 0
    shown = kinds.Shown(selection="mine")
    quality = kinds.figure(run, "scores", shown).axes[0]
    pool, inside = (each.get_data().values.sum() for each in quality.patches)  # type: ignore[attr-defined]
    assert (pool, inside) == (10, 5)  # s3 … s7 have Q from 4 to 8 and U from 1.5


def test_a_trainings_measurements_are_drawn_also_while_it_goes_on(run: Run) -> None:
    lines = [{"step": i + 1, "reward": 5.0 + i, "kl": 0.1} for i in range(3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    run.storage.write_text("policies/mine/training/metrics.jsonl", text)
    reward = kinds.figure(run, "training", kinds.Shown(policies=["mine"])).axes[0]
    assert list(reward.lines[0].get_ydata()) == [5.0, 6.0, 7.0]  # type: ignore[arg-type]


def test_an_evaluation_is_drawn_beside_its_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_world(tmp_path)
    asked = ("eval", "run", "--pool", "held.yaml", "--policy", "first", "--replay", "answers")
    assert qibox(*asked).status == 0
    assert is_picture("run/evaluations/held/rates.png")
    assert qibox("plot", "run", "evaluation", "--policy", "first").status == 0
    drawn = Path("evaluation.png").read_bytes()
    assert drawn == Path("run/evaluations/held/rates.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["area"], "no figure named 'area': there are box, scores,"),
        (["runs/none", "box"], "no run at runs/none"),
        (["box", "-o", "box.pdf"], "box.pdf is no picture's name"),
        (["box", "-o", "none/box.png"], "-o none/box.png cannot be written"),
        (["box", "--selection", "x"], "no selection named 'x'"),
        (["models", "--judge", "x"], "no judge 'x' in run"),
        (["training"], "no measurements of a policy named 'default'"),
        (["evaluation"], "has no such evaluation"),
        (["a", "b", "box"], "3 arguments were given"),
    ],
)
def test_each_mistake_has_its_sentence(run: Run, arguments: list[str], message: str) -> None:
    done = qibox("plot", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_run_without_scores_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [sample("a", 5, 2)], scored=False)
    for kind in ("box", "scores"):
        assert "is not scored yet" in qibox("plot", run.storage.url, kind).stderr
