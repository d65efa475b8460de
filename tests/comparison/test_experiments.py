"""What docs/experiments holds is whole, and comes to the figures that are reported."""

from pathlib import Path

import pytest
import yaml

from qibox.comparison.analysis import comparisons_table
from qibox.comparison.design import replicates_of
from qibox.comparison.earlier import missing, read_earlier
from qibox.manifests.comparison import ComparisonManifest
from qibox.run.storage import Storage

EXPERIMENTS = sorted(Path(__file__).parents[2].glob("docs/experiments/*"))


@pytest.mark.parametrize("folder", EXPERIMENTS, ids=lambda folder: folder.name)
def test_a_kept_experiment_can_be_gone_on_with(folder: Path) -> None:
    plan = ComparisonManifest.model_validate(yaml.safe_load((folder / "plan.yaml").read_text()))
    assert plan.steps is not None
    rows = read_earlier(plan, [str(folder)], plan.steps)
    run = "runs/" + rows["world"][0].as_py()  # of the world itself, where the plan names none
    left = missing(replicates_of(plan, run), rows)
    assert len(left) < len(replicates_of(plan, run))
    told = Storage(folder).read_table("comparisons.parquet").to_pandas()
    again = comparisons_table(plan, rows, {}).to_pandas()
    for name in ("arm", "against", "measure", "replicates", "p_permutation"):
        assert again[name].equals(told[name])
    for name in ("difference", "low", "high", "p"):
        assert again[name].to_numpy(float) == pytest.approx(told[name].to_numpy(float), nan_ok=True)


def test_there_is_one() -> None:
    assert EXPERIMENTS
