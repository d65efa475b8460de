"""What is registered comes before the first training, stays, and is held against what was run."""

from pathlib import Path

import pytest
import yaml

from qibox.comparison.registration import FILE, Statement, read_statement, register, registered
from qibox.comparison.report import report
from qibox.errors import DamagedFileError, UsageError
from qibox.run.storage import Storage
from qibox.tables import COMPARISONS
from tests.comparison.worlds import plan, table

SAID = Statement(
    hypotheses=("box beats random",),
    rule="both tests below .05",
    replicates=6,
    exclusions="none",
    analysis="paired t and permutation",
)


def reported(storage: Storage, **changes: object) -> str:
    now = plan(**changes)
    rows = table([])
    return report(now, rows, COMPARISONS.empty_table(), 6, registered(storage, now))


def test_a_report_says_whether_what_was_run_is_what_was_registered(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    assert "Nothing was registered" in reported(storage)
    register(storage, plan(), SAID, 6, begun=False)
    register(storage, plan(), SAID, 6, begun=True)  # the very same again
    assert "What was run is what was registered" in reported(storage)
    assert "NOT what was registered" in reported(storage, steps=8)
    assert "other steps" in reported(storage, steps=8)


def test_it_is_not_rewritten_and_does_not_come_after_results(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with pytest.raises(UsageError, match="has trained already"):
        register(storage, plan(), SAID, 6, begun=True)
    with pytest.raises(UsageError, match="says 6 replicates and the plan has 7"):
        register(storage, plan(), SAID, 7, begun=False)
    register(storage, plan(), SAID, 6, begun=False)
    with pytest.raises(UsageError, match="another registration"):
        register(storage, plan(margin=0.5), SAID, 6, begun=False)


def test_a_changed_registration_is_damage(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    register(storage, plan(), SAID, 6, begun=False)
    there = storage.read_mapping(f"comparisons/made/{FILE}")
    there["statement"]["rule"] = "whatever is below .05"
    storage.write_mapping(f"comparisons/made/{FILE}", there)
    with pytest.raises(DamagedFileError, match="its hash is of something else"):
        registered(storage, plan())


def test_a_statement_without_a_part_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "said.yaml"
    path.write_text(yaml.safe_dump(SAID.model_dump(mode="json")))
    assert read_statement(str(path)) == SAID
    path.write_text("rule: x\n")
    with pytest.raises(UsageError, match="field 'hypotheses' is missing"):
        read_statement(str(path))
    with pytest.raises(UsageError, match="cannot be read"):
        read_statement(str(tmp_path / "none.yaml"))
