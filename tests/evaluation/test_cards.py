"""An evaluation tells a policy's card what it came to."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import ModelCard

from qibox.cli.main import cli
from qibox.evaluation.cards import refresh_cards
from qibox.opened import OpenRun
from qibox.policies.card import policy_card
from tests.evaluations import write_world
from tests.policies.test_card import lineage


def test_rates_of_every_benchmark_so_far_are_on_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = write_world(tmp_path).storage
    there = storage.read_mapping("policies/first/policy.yaml")["plan"]
    full = lineage(there["policy"], there["policy_revision"])
    full["plan"] |= {"name": "first", "selection": "x"}
    storage.write_text("policies/first/policy.yaml", yaml.safe_dump(full))
    storage.write_text("policies/first/metrics.jsonl", '{"step": 1, "reward": 3.5}\n')
    storage.write_text("policies/first/README.md", policy_card(full, [], license="mit"))
    for benchmark in ("held", "kept"):
        asked = ["--pool", f"{benchmark}.yaml", "--policy", "first", "--policy", "second"]
        done = CliRunner().invoke(cli, ["eval", "run", *asked, "--replay", "answers"])
        assert done.exit_code == 0, done.output
    card = ModelCard.load(tmp_path / "run/policies/first/README.md")
    assert card.data.license == "mit"  # kept
    with OpenRun("run") as opened:
        wanted = opened.sql(
            "select pool, measure, round(value, 4) from rates where policy = 'first' "
            "and stage = 'trained' and \"by\" = 'all' and value is not null"
        ).fetchall()
        refresh_cards(opened.run, ["nobody"])
    found = [(r.dataset_name, r.metric_type, r.metric_value) for r in card.data.eval_results]
    assert {pool for pool, *_ in found} == {"held", "kept"}
    assert sorted(found) == sorted(wanted)
    assert "| reward | 3.5 | 3.5 |" in card.text
    assert not storage.exists("policies/second/README.md")  # of before there were cards
