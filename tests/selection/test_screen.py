"""A planted overlap with a benchmark, duplicates, twins: what a selection leaves out and lists."""

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image, ImageEnhance

from qibox.cli.main import cli
from qibox.errors import QiboxError
from qibox.mini.pool import iter_samples
from qibox.run.directory import Run
from qibox.selection.lineage import lineage
from qibox.selection.read import read_selection
from qibox.selection.request import OPEN_BOX, Request, Steering, at_random, by_box
from qibox.selection.screen import screened
from qibox.selection.write import write_selection
from tests.runs import Row, manifest, sample, write_run

HELD_OUT = list(iter_samples("heldout", 12))
OTHERS = list(iter_samples("train", 12))


def changed(content: bytes) -> bytes:
    """Cut by 2 %, resized, re-encoded."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    width, height = picture.size
    rim = (width * 0.02, height * 0.02, width * 0.98, height * 0.98)
    buffer = io.BytesIO()
    picture.crop(tuple(map(round, rim))).resize((130, 130)).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def pool() -> list[Row]:
    """Ten samples of the training pool, and a held-out one that was changed, the most unstable."""
    rows = [
        sample(
            f"s{i}",
            5,
            1 + i / 10,
            question=each["question"],
            image=each["image"]["bytes"],
            risk=each["risk"],
        )
        for i, each in enumerate(OTHERS[:10])
    ]
    held = HELD_OUT[3]
    question = f"  {held['question'].upper()}".replace(" ", "  ")
    return [
        *rows,
        sample(
            "leak",
            5,
            4,
            question=question,
            image=changed(held["image"]["bytes"]),
            risk=held["risk"],
        ),
    ]


def limited(count: int | None, **steering: Any) -> Request:
    return by_box(OPEN_BOX.model_copy(update={"limit": count}), steering=Steering(**steering))


def test_a_planted_overlap_is_left_out_listed_and_made_up_for(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", pool())
    choice = screened(run, limited(3))
    assert choice.chosen.to_pylist() == ["s7", "s8", "s9"]
    found = choice.screening
    assert found is not None
    (overlap,) = found.overlaps
    assert (overlap.sample_id, overlap.benchmark) == ("leak", "mini-heldout")
    assert overlap.other == HELD_OUT[3]["sample_id"]
    assert overlap.distance is not None
    assert overlap.distance <= 0.04
    assert overlap.similarity == 1.0
    assert found.checked == {"mini-heldout": 1000}
    assert "figstep" in found.unchecked
    assert lineage(run, choice)["screened"]["overlaps"] == 1


def test_an_overlap_that_is_allowed_is_kept_and_listed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", pool())
    choice = screened(run, limited(3), allow_overlap=True)
    assert choice.chosen.to_pylist() == ["leak", "s8", "s9"]
    assert choice.screening is not None
    assert choice.screening.findings.to_pylist()[0]["left_out"] is False


def test_of_duplicates_the_first_stays_and_a_twin_is_none(tmp_path: Path) -> None:
    one, two = (each["image"]["bytes"] for each in OTHERS[:2])
    rows = [
        sample("a", 5, 1, risk="implicit", question="may i ?", image=one),
        sample("b", 5, 3, risk="implicit", question="May I?", image=changed(one)),
        sample("c", 5, 2, risk="none", question="may i ?", image=one),  # harmless, so a twin
        sample("d", 5, 2, risk="implicit", question="may i ?", image=two),  # the question alone
        sample("e", 5, 2, risk="implicit", question="is it so ?", image=one),  # the picture alone
    ]
    run = write_run(tmp_path / "run", rows)
    choice = screened(run, limited(None))
    assert choice.chosen.to_pylist() == ["a", "c", "d", "e"]
    assert choice.screening is not None
    (twice,) = choice.screening.duplicates
    assert (twice.sample_id, twice.other, twice.benchmark) == ("b", "a", None)


def test_where_nobody_is_left_that_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", pool()[-1:])
    with pytest.raises(QiboxError, match="nobody is left to choose: 1 samples are like") as caught:
        screened(run, limited(3))
    assert caught.value.fields == ("allow_overlap",)


def test_a_dry_run_keeps_nothing_and_the_real_one_its_signatures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", pool())
    told: list[str] = []
    screened(run, limited(3), keep=False, told=lambda what, _: told.append(what))
    assert run.storage.files("likeness") == []
    assert "pool" in told
    first = screened(run, limited(3))
    told.clear()
    assert screened(run, limited(3), told=lambda what, _: told.append(what)) == first
    assert told == []


def held_out_picture(question: str, light: float = 1.0) -> list[Row]:
    """A sample with a held-out picture, lit otherwise, and a question."""
    held = HELD_OUT[3]
    picture = Image.open(io.BytesIO(held["image"]["bytes"])).convert("RGB")
    buffer = io.BytesIO()
    ImageEnhance.Brightness(picture).enhance(light).save(buffer, "PNG")
    return [sample("x", 5, 4, question=question, image=buffer.getvalue(), risk=held["risk"])]


def test_a_wording_that_makes_a_sample_like_a_benchmark_s_is_left_out(tmp_path: Path) -> None:
    asked, other = HELD_OUT[3]["question"], "what is this about , then ?"
    run = write_run(tmp_path / "run", [*pool()[:4], *held_out_picture(other)])
    file = tmp_path / "wordings.csv"
    file.write_text(f'sample_id,question\nx,"{asked.upper()}"\nx,"and this ?"\ns1,"{asked}"\n')
    request = limited(None, paraphrases=str(file))
    choice = screened(run, request)
    assert choice.screening is not None
    assert choice.screening.overlaps == ()  # with its own question it is like none
    (found,) = choice.screening.variants
    assert (found.sample_id, found.benchmark) == ("x~question-1", "mini-heldout")
    assert (found.other, found.similarity) == (HELD_OUT[3]["sample_id"], 1.0)
    assert lineage(run, choice)["screened"]["variants"] == 1
    write_selection(run, choice)
    data = read_selection(run.storage, "default", ["sample_id"])["sample_id"].to_pylist()
    assert [name for name in data if "~" in name] == ["s1~question-1", "x~question-2"]
    rows = run.storage.read_table("selections/default/left_out.parquet").to_pylist()
    assert [(row["sample_id"], row["left_out"]) for row in rows] == [("x~question-1", True)]
    assert "1 variants like a benchmark's sample, left out" in run.storage.read_text(
        "selections/default/README.md"
    )
    allowed = screened(run, request, allow_overlap=True)
    assert allowed.screening is not None
    assert allowed.screening.findings.to_pylist()[0]["left_out"] is False
    assert allowed.augment is not None
    assert not allowed.augment.left_out


def test_a_picture_that_is_made_like_a_benchmark_s_is_left_out(tmp_path: Path) -> None:
    # Lit by a tenth less it lies 0.09 away, beyond the limit of 0.04; a variant or two of the
    # twenty-four are lit up again and cut little.
    asked = HELD_OUT[3]["question"]
    run = write_run(tmp_path / "run", [*pool()[:4], *held_out_picture(asked, 0.9)])
    choice = screened(run, limited(None, augment=24))
    assert choice.screening is not None
    assert choice.screening.overlaps == ()
    found = {each.sample_id for each in choice.screening.variants}
    assert 1 <= len(found) <= 3
    assert all(name.startswith("x~picture-") for name in found)
    write_selection(run, choice)
    written = read_selection(run.storage, "default", ["sample_id"])["sample_id"].to_pylist()
    made = {name for name in written if name.startswith("x~")}
    assert made == {f"x~picture-{n}" for n in range(1, 25)} - found
    assert len(written) == 5 + 5 * 24 - len(found)


def test_the_pool_of_a_benchmark_is_not_compared_with_itself(tmp_path: Path) -> None:
    rows = [
        sample(f"h{i}", 5, 1, question=each["question"], image=each["image"]["bytes"])
        for i, each in enumerate(HELD_OUT[:3])
    ]
    run = write_run(tmp_path / "run", rows, made_of=manifest(name="mini-heldout"))
    choice = screened(run, at_random(3))
    assert choice.screening is not None
    assert choice.screening.checked == {}
    assert len(choice.chosen) == 3


def test_the_command_says_and_writes_who_was_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run: Run = write_run("run", pool())
    arguments = ["select", "run", "--u-min", "0", "--limit", "3", "--name"]
    done = CliRunner().invoke(cli, [*arguments, "clean"])
    assert done.exit_code == 0, done.exception
    assert "1 samples like one of theirs in picture and question, left out" in done.stdout
    rows = pq.read_table(run.storage.path("selections/clean/left_out.parquet")).to_pylist()
    assert [(row["sample_id"], row["left_out"]) for row in rows] == [("leak", True)]
    card = run.storage.read_text("selections/clean/README.md")
    assert f"| leak | {HELD_OUT[3]['sample_id']} | mini-heldout |" in card
    assert "figstep" in card
    again = CliRunner().invoke(cli, [*arguments, "all", "--allow-overlap"])
    assert again.exit_code == 0, again.exception
    card = run.storage.read_text("selections/all/README.md")
    assert "qibox select RUN --q-band 1 10 --u-min 0 --limit 3 --allow-overlap --name all" in card
