from pathlib import Path
from typing import Any

import pytest
import yaml

import qibox
from qibox.errors import UsageError
from qibox.manifests import PoolManifest
from qibox.manifests.box import Edge
from qibox.run.directory import Run
from qibox.selection import write as write_module
from qibox.selection.card import license_of
from qibox.selection.choose import Choice, choose
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.write import write_selection
from tests.runs import manifest, sample, write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = [sample("a", 5, 3), sample("b", 6, 2, risk="explicit"), sample("c", 7, 1)]
    return write_run(tmp_path / "run", rows)


def chosen(run: Run, least: float = 0.0, name: str = "default", **more: Any) -> Choice:
    box = OPEN_BOX.model_copy(update={"u_min": Edge(value=least), **more})
    return choose(run, by_box(box, name=name))


def files(run: Run) -> dict[str, bytes]:
    root = Path(run.storage.path("selections"))
    return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}


def test_a_selection_is_data_card_and_lineage(run: Run) -> None:
    assert write_selection(run, chosen(run)) is True
    assert sorted(files(run)) == [
        "default/README.md",
        "default/box.png",
        "default/data/train-00000-of-00001.parquet",
        "default/selection.yaml",
    ]


def test_the_same_again_writes_nothing(run: Run) -> None:
    write_selection(run, chosen(run))
    root = Path(run.storage.path("selections"))
    before = {f: f.stat().st_mtime_ns for f in root.rglob("*")}
    assert write_selection(run, chosen(run)) is False
    assert write_selection(run, chosen(run), overwrite=True) is False
    assert {f: f.stat().st_mtime_ns for f in root.rglob("*")} == before


def test_another_selection_of_that_name_is_refused_and_overwritten_on_demand(run: Run) -> None:
    write_selection(run, chosen(run))
    before = files(run)
    with pytest.raises(UsageError, match="'default' is there already, with another box, chosen"):
        write_selection(run, chosen(run, 2))
    assert files(run) == before
    assert write_selection(run, chosen(run, 2), overwrite=True) is True
    assert yaml.safe_load(run.storage.read_text("selections/default/selection.yaml"))["chosen"] == 2
    folders = Path(run.storage.path("selections")).iterdir()
    assert [folder.name for folder in folders] == ["default"]


def test_more_gpus_and_other_words_make_no_other_selection(run: Run) -> None:
    write_selection(run, chosen(run))
    panel = run.manifest.panel
    eight = {"settings": {"tensor_parallel_size": 8}}
    models = {name: spec.model_copy(update=eight) for name, spec in panel.models.items()}
    pool = run.manifest.pool.model_copy(update={"about": "said otherwise"})
    moved = run.manifest.model_copy(
        update={"panel": panel.model_copy(update={"models": models}), "pool": pool}
    )
    assert write_selection(Run(run.storage, moved), chosen(run, about="said otherwise")) is False


def test_a_write_that_fails_leaves_the_old_selection_whole(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_selection(run, chosen(run))
    before = files(run)

    def full(*_: object) -> str:
        raise OSError("No space left on device")

    monkeypatch.setattr(write_module, "dataset_card", full)
    with pytest.raises(OSError, match="No space left"):
        write_selection(run, chosen(run, 2), overwrite=True)
    assert files(run) == before


def test_a_selection_without_its_lineage_is_not_there(run: Run) -> None:
    write_selection(run, chosen(run))
    run.storage.remove("selections/default/selection.yaml")
    with qibox.open(run.storage.url) as opened:
        assert opened.sql("select * from selections").fetchall() == []
    assert write_selection(run, chosen(run, 2)) is True


def test_an_object_store_holds_the_same_selection(run: Run) -> None:
    far = write_run("memory://selection-write", [sample("a", 5, 3), sample("b", 6, 2)])
    write_selection(far, chosen(far))
    with pytest.raises(UsageError, match="is there already"):
        write_selection(far, chosen(far, 3))
    assert write_selection(far, chosen(far, 3), overwrite=True) is True
    with qibox.open("memory://selection-write") as opened:
        assert opened.selection().select("sample_id").fetchall() == [("a",)]


def test_the_lineage_holds_what_determines_the_rows_and_no_path(run: Run) -> None:
    write_selection(run, chosen(run, 2, limit=1))
    text = run.storage.read_text("selections/default/selection.yaml")
    lineage = yaml.safe_load(text)
    assert lineage["edges"] == [
        {
            "stratum": "pool",
            "q_low": 1.0,
            "q_high": 10.0,
            "u_min": 2.0,
            "scored": 3,
            "passed": 2,
            "chosen": 1,
        }
    ]
    assert (lineage["samples"], lineage["scored"], lineage["passed"], lineage["chosen"]) == (
        3,
        3,
        2,
        1,
    )
    index = run.pool_index()
    assert index is not None
    assert lineage["scores"] == [unit.key for unit in run.scores_units(index.shards())]
    assert lineage["versions"]["qibox"] == qibox.__version__
    assert run.storage.url not in text


def test_the_card_says_licence_edges_mix_and_how_to_do_it_again(run: Run) -> None:
    write_selection(run, chosen(run, 2.5), command="qibox select RUN --u-min 2.5")
    card = run.storage.read_text("selections/default/README.md")
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["license"] == "cc-by-4.0"
    assert yaml.safe_load(head)["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*.parquet"}
    ]
    assert "| handmade | CC-BY-4.0 | 1 |" in body
    assert "| pool | 1 | 10 | 2.5 | 3 | 1 | 1 |" in body
    assert "| risk | explicit | 1 | 33.3% | 0 | 0.0% |" in body
    assert "- Starved: risk 'explicit' falls to nothing (was 1, 33.3%)." in body
    assert "```\nqibox select RUN --u-min 2.5\n```\n" in body


def test_a_source_without_a_licence_is_unknown_not_free(tmp_path: Path) -> None:
    made_of = manifest(license=None)
    run = write_run(tmp_path / "run", [sample("a", 5, 3)], made_of=made_of)
    write_selection(run, chosen(run))
    card = run.storage.read_text("selections/default/README.md")
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "unknown"
    assert "| handmade | unknown | 1 |" in card


def test_each_part_of_a_pool_keeps_its_licence() -> None:
    def part(name: str, license_: str | None) -> PoolManifest:
        return PoolManifest(name=name, about="a part", format="mini", license=license_)

    parts = (part("one", "MIT"), part("two", None))
    pool = PoolManifest(name="both", about="two parts", parts=parts)
    assert license_of(pool, "one") == "MIT"
    assert license_of(pool, "two") is None
