import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.errors import QiboxError
from qibox.run.directory import Run
from tests.runs import manifest, sample, write_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run at runs/mini: quality 1 … 10, instability 0 … 4.5, every third sample explicit."""
    monkeypatch.chdir(tmp_path)
    rows = [
        sample(f"s{i}", 1.0 + i, i / 2, risk="none" if i % 3 else "explicit") for i in range(10)
    ]
    return write_run("runs/mini", rows, made_of=manifest(name="mini"))


STRATA = ("--stratify", "risk", "--size", "4")


def select(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["select", *map(str, arguments)])


def chosen(run: Run, name: str = "default") -> list[str]:
    files = run.storage.files(f"selections/{name}/data")
    return [i for f in files for i in run.storage.read_table(f)["sample_id"].to_pylist()]


def edges(run: Run) -> dict[str, float]:
    lineage = yaml.safe_load(run.storage.read_text("selections/default/selection.yaml"))
    (only,) = lineage["edges"]
    return {name: only[name] for name in ("q_low", "q_high", "u_min")}


def test_without_options_it_is_the_miniature_box(run: Run) -> None:
    # Of 1 … 10 the quantiles 0.2 and 0.8 are 2 and 8; of 0 … 4.5 the quantile 0.5 is 2.
    assert select().exit_code == 0
    assert edges(run) == {"q_low": 2.0, "q_high": 8.0, "u_min": 2.0}
    assert chosen(run) == ["s4", "s5", "s6", "s7"]


def test_the_mix_is_printed_before_and_after_and_the_starved_are_named(run: Run) -> None:
    done = select("--q-band", 5, 6, "--u-min", 0)
    assert done.exit_code == 0
    lines = [
        [word for word in line.split() if word[0].isalnum()] for line in done.stdout.splitlines()
    ]
    assert ["risk", "none", "6", "60.0%", "2", "100.0%"] in lines
    assert ["explicit", "4", "40.0%", "0", "0.0%"] in lines
    assert "2 of 10 scored samples" in done.stdout
    assert "scores by judge hash" in done.stdout
    told = [line for line in done.stderr.splitlines() if not line.startswith("look")]
    assert told == ["Warning: risk 'explicit' falls to nothing (was 4, 40.0%)"]


def test_given_edges_replace_those_of_the_box(run: Run) -> None:
    assert select("--box", "mini", "--u-min", 3).exit_code == 0
    assert edges(run) == {"q_low": 2.0, "q_high": 8.0, "u_min": 3.0}
    given = ("--q-band-quantile", 0.1, 1, "--u-min-quantile", 0.9, "--overwrite")
    assert select(*given).exit_code == 0
    assert edges(run) == {"q_low": 1.0, "q_high": 10.0, "u_min": 4.0}


def test_one_edge_alone_leaves_the_other_open(run: Run) -> None:
    assert select("--q-band", 3, 4).exit_code == 0
    assert edges(run) == {"q_low": 3.0, "q_high": 4.0, "u_min": 0.0}
    assert select("--u-min", 4, "--overwrite").exit_code == 0
    assert edges(run) == {"q_low": 1.0, "q_high": 10.0, "u_min": 4.0}


def test_a_limit_and_a_control_of_the_same_size(run: Run) -> None:
    assert select("runs/mini", "--u-min", 0, "--limit", 3, "--name", "box").exit_code == 0
    assert chosen(run, "box") == ["s7", "s8", "s9"]
    assert select("--random", 3, "--seed", 5, "--name", "control").exit_code == 0
    first = chosen(run, "control")
    assert len(first) == 3
    assert select("--random", 3, "--seed", 5, "--name", "again").exit_code == 0
    assert chosen(run, "again") == first


def test_a_dry_run_shows_and_writes_nothing(run: Run) -> None:
    done = select("--dry-run")
    assert done.exit_code == 0
    assert "4 of 10 scored samples" in done.stdout
    assert "would write" in done.stdout
    assert run.storage.files("selections") == []


def test_the_same_again_is_said_and_another_refused(run: Run) -> None:
    assert "wrote" in select().stdout
    assert "is there already" in select().stdout
    refused = select("--u-min", 3)
    assert isinstance(refused.exception, QiboxError)
    assert refused.exception.exit_status == 2
    assert str(refused.exception).endswith("overwrite that one (--name, --overwrite)")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["runs/none"], 2, "no run at runs/none"),
        (["--q-band", "8", "4"], 2, r"band from 8 to 4 is reversed: .* \(--q-band\)$"),
        (
            ["--q-band-quantile", "0.8", "0.4"],
            2,
            r"from quantile 0.8 to 0.4 is reversed: .* \(--q-band-quantile\)$",
        ),
        (["--u-min", "5"], 2, r"5 lets nothing through: .* \(--u-min\)$"),
        (["--q-band", "nan", "5"], 2, "--q-band takes finite numbers, not nan"),
        (["--u-min", "inf"], 2, "--u-min takes finite numbers, not inf"),
        (["--u-min-quantile", "nan"], 2, "--u-min-quantile takes finite numbers, not nan"),
        (["--box", "unheard-of"], 2, "manifest named 'unheard-of'"),
        (["--random", "3", "--u-min", "1"], 2, "leave out --u-min"),
        (["--u-min", "1", "--u-min-quantile", "0.5"], 2, "are one edge twice"),
        (["--random", "11"], 2, r"more than there are: 10 .* \(--random\)$"),
        (["--size", "3"], 2, r"no strata: .* \(--stratify, --limit\)$"),
        (["--stratify", "risk"], 2, r"say of how many samples \(--size\)$"),
        (["--quota", "sqrt", "--size", "3"], 2, "--quota 'sqrt' has no strata: add --stratify"),
        ([*STRATA, "--limit", "3"], 2, "--size 4 and --limit 3 are one number twice"),
        ([*STRATA, "--random", "3"], 2, "is the size already: leave out --size 4"),
        ([*STRATA, "--quota", "risk: a=1%"], 2, r"come to 1%: .* \(--stratify, --quota\)$"),
        ([*STRATA, "--quota", "risk: a=100%"], 2, r"has the risk 'a' .* none, .* \(--quota\)$"),
        (["--stratify", "hue", "--size", "3"], 2, r"no strata by 'hue': .* \(--stratify\)$"),
        (["--name", "../x"], 2, r"is not a name .* \(--name\)$"),
        (
            ["--q-band", "1", "2", "--u-min", "4"],
            1,
            r"and the 2 within the band have .* \(--u-min\)$",
        ),
    ],
)
def test_each_mistake_has_its_sentence_and_status(
    run: Run, arguments: list[str], status: int, message: str
) -> None:
    done = select(*arguments)
    assert isinstance(done.exception, QiboxError), done.exception
    assert done.exception.exit_status == status
    with pytest.raises(QiboxError, match=message):
        raise done.exception
    assert "\n" not in str(done.exception)
    assert run.storage.files("selections") == []


def test_another_pool_needs_a_box_of_its_own(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [sample("a", 5, 2)])
    done = select(run.storage.url)
    with pytest.raises(QiboxError, match="no box is given: name one with --box"):
        raise done.exception or AssertionError
    assert select(run.storage.url, "--box", "mini").exit_code == 0


def test_a_dry_run_says_what_the_real_one_would(run: Run) -> None:
    fresh = select("--dry-run")
    assert fresh.stdout.endswith(f"would write {run.storage.url}/selections/default\n")
    assert select().exit_code == 0
    assert "is there already: " in select("--dry-run").stdout
    other = select("--u-min", 3, "--dry-run")
    assert isinstance(other.exception, QiboxError)
    assert "(--name, --overwrite)" in str(other.exception)
    assert "would write" in select("--u-min", 3, "--overwrite", "--dry-run").stdout


def test_a_large_selection_tells_how_far_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qibox.selection.shard.ROWS_PER_FILE", 2)
    assert "writing 4/4" in select().stderr


def words(line: str) -> list[str]:
    return [word for word in line.split() if word[0].isalnum()]


def test_quotas_are_printed_written_and_said_to_be_short(run: Run) -> None:
    quota = ("--quota", "risk: none=25% explicit=75%")
    for dry in (["--dry-run"], []):
        done = select("--u-min", 1, "--size", 8, "--stratify", "risk", *quota, *dry)
        assert done.exit_code == 0
        lines = [words(line) for line in done.stdout.splitlines() if line.strip()]
        # Every third of s0 … s9 is explicit: with U ≥ 1 three are left of the six wanted.
        assert ["explicit", "4", "6", "3", "3"] in lines
        assert ["none", "6", "2", "5", "5"] in lines
        assert "Warning: 1 of 2 strata have fewer samples than their quota" in done.stderr
    assert chosen(run) == ["s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"]


def test_the_same_command_gives_the_same_bytes(run: Run) -> None:
    def files() -> dict[str, bytes]:
        root = Path(run.storage.path("selections/framed"))
        return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}

    command = ("--random", 4, "--stratify", "risk,severity", "--quota", "sqrt", "--name", "framed")
    assert select(*command).exit_code == 0
    before = files()
    run.storage.remove("selections/framed")
    assert select(*command).exit_code == 0
    assert files() == before


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--box", "mini", "--limit", "9", "--rank", "random", "--within", "risk", "--seed", "3"],
        ["--q-band", "2", "9.5", "--u-min", "0.25", "--limit", "3"],
        ["--random", "6"],
        ["--random", "6", "--stratify", "risk", "--quota", "risk: none=12.5% explicit=87.5%"],
        ["--u-min", "1", "--size", "4", "--stratify", "severity,risk", "--quota", "risk: sqrt"],
    ],
)
def test_the_cards_command_asks_for_the_same(run: Run, given: list[str]) -> None:
    assert select(*given, "--name", "mine").exit_code == 0
    card = run.storage.read_text("selections/mine/README.md")
    (line,) = (line for line in card.splitlines() if line.startswith("qibox select RUN"))
    again = select("runs/mini", *shlex.split(line)[3:], "--dry-run")
    assert "is there already" in again.stdout, (line, again.exception)


def test_what_a_pool_holds_cannot_steer_the_terminal(tmp_path: Path) -> None:
    rows = [sample("a", 5, 2, category="[red]\x1b[2J"), sample("b", 5, 1)]
    run = write_run(tmp_path / "run", rows)
    done = select(run.storage.url, "--u-min", 0, "--size", 1, "--stratify", "category")
    assert done.exit_code == 0
    assert done.stdout.count(r"[red]\x1b[2J") == 2
