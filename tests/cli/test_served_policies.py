"""Policies behind a real server on loopback: as options say, or as a panel's manifest says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.engines.sources import fingerprint
from qibox.errors import QiboxError, UsageError
from qibox.run.directory import Run
from tests.endpoint import Endpoint, serving
from tests.evaluations import SAMPLES, START, write_world

K = 2


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return write_world(tmp_path)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as found:
        yield found


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def evaluate(*more: object) -> Result:
    return qibox("eval", "run", "--pool", "held.yaml", *more)


def served(url: str, **settings: Any) -> list[str]:
    """Options by which every policy is asked of a server."""
    given = {"base_url": url, "attempts": 1, **settings}
    words = [word for name, value in given.items() for word in ("--setting", f"{name}={value}")]
    return ["--engine", "openai", *words]


def refusal(done: Result) -> str:
    assert isinstance(done.exception, UsageError), done.output
    return str(done.exception)


def models(run: Run, home: str = "evaluations/held") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(run.storage.read_text(f"{home}/run.yaml"))
    return dict(content["panel"]["models"])


def write_panel(**named: dict[str, Any]) -> str:
    """Write served.yaml: models by id, for keys a dash in place of the underscore."""
    panel = {
        "name": "served",
        "about": "made for a test",
        "models": {name.replace("_", "-"): spec for name, spec in named.items()},
    }
    Path("served.yaml").write_text(yaml.safe_dump(panel))
    return "served.yaml"


def test_a_policy_and_its_start_are_asked_of_a_server(world: Run, endpoint: Endpoint) -> None:
    done = evaluate("--policy", "first", *served(endpoint.url))
    assert done.exit_code == 0, done.output
    # asked for both answers at once, under the names that the server knows
    assert len(endpoint.take_asked("first")) == SAMPLES
    assert len(endpoint.take_asked("builtin:policy")) == SAMPLES
    found = models(world)
    weights = fingerprint(Path(world.storage.path("policies/first/model")))
    assert (found["first"]["source"], found["first"]["revision"]) == ("first", weights)
    assert found[START]["revision"].startswith("sha256:")
    assert {each["noise_id"] for each in found.values()} == {"policy"}
    assert evaluate("--policy", "first", *served(endpoint.url)).exit_code == 0
    assert endpoint.asked == []  # once more asks nothing


def test_operating_settings_change_freely_and_deciding_ones_ask_anew(
    world: Run, endpoint: Endpoint
) -> None:
    first = ["--policy", "first"]
    assert evaluate(*first, *served(endpoint.url)).exit_code == 0
    endpoint.take_asked("first")
    operating = served(endpoint.url, concurrency=3, request_timeout_s=9, give_up_after=5)
    assert evaluate(*first, *operating).exit_code == 0
    assert endpoint.take_asked("first") == []
    assert models(world)["first"]["settings"]["concurrency"] == 3
    deciding = served(endpoint.url, extra_body="{top_k: 3}")
    assert evaluate(*first, *deciding).exit_code == 0
    assert len(endpoint.take_asked("first")) == SAMPLES


def test_other_weights_behind_the_same_name_are_asked_anew(world: Run, endpoint: Endpoint) -> None:
    assert evaluate("--policy", "first", *served(endpoint.url)).exit_code == 0
    endpoint.asked.clear()
    world.storage.write_text("policies/first/model/weights", "trained once more")
    assert evaluate("--policy", "first", *served(endpoint.url)).exit_code == 0
    assert len(endpoint.take_asked("first")) == SAMPLES
    assert endpoint.asked == []  # its start is the same


def test_a_manifest_says_how_each_is_run(world: Run, endpoint: Endpoint) -> None:
    settings = {"base_url": endpoint.url, "attempts": 1}
    panel = write_panel(
        first={"source": "tuned", "engine": "openai", "settings": settings},
        beside={"source": "other", "engine": "openai", "settings": settings, "system": "Be brief."},
        start_policy={"source": "base", "engine": "openai", "settings": settings},
    )
    done = evaluate("--policy", panel)
    assert done.exit_code == 0, done.output
    asked = {name: len(endpoint.take_asked(name)) for name in ("tuned", "other", "base")}
    assert asked == dict.fromkeys(asked, SAMPLES)
    found = models(world)
    assert found["beside"]["system"] == "Be brief."
    assert (found["first"]["source"], found["beside"]["revision"]) == ("tuned", None)
    rates = world.storage.read_table("evaluations/held/rates.parquet").to_pylist()
    pairs = {(row["policy"], row["start"]) for row in rates}
    assert pairs == {("first", START), (START, None), ("beside", None)}


def test_a_name_that_only_the_server_knows(world: Run, endpoint: Endpoint) -> None:
    done = evaluate("--policy", "Qwen2.5-VL", *served(endpoint.url))
    assert done.exit_code == 0, done.output
    assert len(endpoint.take_asked("Qwen2.5-VL")) == SAMPLES
    assert models(world)["qwen2-5-vl"]["revision"] is None


def test_a_start_from_a_directory_need_not_be_here_where_a_server_has_it(
    world: Run, endpoint: Endpoint
) -> None:
    lineage = {"policy": "somewhere", "policy_revision": "sha256:0123", "selection": "x"}
    world.storage.write_text("policies/first/policy.yaml", yaml.safe_dump({"plan": lineage}))
    assert "say where it is" in refusal(evaluate("--policy", "first", "--replay", "answers"))
    assert evaluate("--policy", "first", *served(endpoint.url)).exit_code == 0
    assert len(endpoint.take_asked("somewhere")) == SAMPLES


def test_a_profile_is_answered_by_a_server_too(world: Run, endpoint: Endpoint) -> None:
    done = qibox("profile", "run", "--policy", "first", "--limit", 3, *served(endpoint.url))
    assert done.exit_code == 0, done.output
    assert len(endpoint.take_asked("first")) == 3
    settings = {"base_url": endpoint.url}
    panel = write_panel(other={"source": "far", "engine": "openai", "settings": settings})
    assert qibox("profile", "run", "--policy", panel, "--limit", 3).exit_code == 0
    assert len(endpoint.take_asked("far")) == 3
    write_panel(**{name: {"source": name} for name in ("one", "two")})
    several = qibox("profile", "run", "--policy", panel)
    assert "served.yaml has 2 policies (one, two)" in refusal(several)


def test_what_a_server_does_not_know_is_one_sentence(world: Run, endpoint: Endpoint) -> None:
    endpoint.ailing["held asks"] = 404
    done = evaluate("--policy", "first", *served(endpoint.url))
    assert isinstance(done.exception, QiboxError)
    assert "404" in str(done.exception)


def test_settings_that_do_not_hold_are_refused_before_anything_is_written(
    world: Run, endpoint: Endpoint
) -> None:
    first = ["--policy", "first"]
    no_address = evaluate(*first, "--engine", "openai")
    assert "option 'base_url' is missing (--setting)" in refusal(no_address)
    unknown = evaluate(*first, *served(endpoint.url, colour="red"))
    assert "unknown option 'colour'" in refusal(unknown)
    for text, words in (
        ("attempts", "setting 'attempts' is none: write NAME=VALUE"),
        ("attempts=[", "which is not YAML"),
    ):
        assert words in refusal(evaluate(*first, "--setting", text))
    twice = evaluate(*first, "--setting", "dtype=auto", "--setting", "dtype=float32")
    assert "'dtype' is given twice" in refusal(twice)
    both = evaluate(*first, "--replay", "answers", "--setting", "dtype=auto")
    assert "leave one out (--replay, --setting)" in refusal(both)
    secret = evaluate(*first, *served(endpoint.url, extra_body="{api_key: abc}"))
    assert "looks like a secret" in refusal(secret)
    assert world.storage.files("evaluations") == []


def test_a_manifest_that_means_somebody_else_is_refused(world: Run) -> None:
    elsewhere = refusal(evaluate("--policy", write_panel(first={"source": "builtin:strong"})))
    assert "builtin:strong does not hold its weights" in elsewhere
    alone = refusal(evaluate("--policy", write_panel(start_policy={"source": "builtin:policy"})))
    assert "has only policies before training" in alone
    unused = write_panel(
        other={"source": "builtin:strong"}, start_else={"source": "builtin:policy"}
    )
    assert "no policy that is asked started from 'start-else'" in refusal(
        evaluate("--policy", unused)
    )
    Path("more.yaml").write_text(Path("served.yaml").read_text())
    twice = evaluate("--policy", "served.yaml", "--policy", "more.yaml")
    assert "two manifests have a policy 'other'" in refusal(twice)
