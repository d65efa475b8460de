"""Every shipped manifest: checked, with its sources, and consistent with the others."""

from pathlib import Path

import pyarrow as pa
import pytest

from qibox.errors import UsageError
from qibox.manifests import (
    BoxManifest,
    JudgeManifest,
    PanelManifest,
    PoolManifest,
    RecipeManifest,
    SuiteManifest,
    list_manifests,
    load_manifest,
)
from qibox.manifests.common import Manifest
from qibox.manifests.load import KINDS, manifest_text, parse_manifest
from qibox.pool.taxonomy import OTHER, load_taxonomy, mapping_of
from qibox.responses import split_reasoning

SHIPPED = [(kind, name) for kind in KINDS for name in list_manifests(kind)]


@pytest.mark.parametrize(("kind", "name"), SHIPPED, ids=lambda value: str(value))
def test_a_shipped_manifest_holds(kind: type[Manifest], name: str) -> None:
    manifest = load_manifest(kind, name)
    assert manifest.name == name
    assert manifest.about.endswith(".")
    assert manifest.source
    for field in manifest.unverified:
        assert field.split(".")[0] in kind.model_fields, field
    for field in manifest.sources:
        assert field.split(".")[0] in kind.model_fields, field


@pytest.mark.parametrize("name", list_manifests(PoolManifest))
def test_a_pool_s_taxonomy_table_exists(name: str) -> None:
    manifest = load_manifest(PoolManifest, name)
    mapping = mapping_of(manifest.taxonomy)
    assert (mapping is None) == (manifest.taxonomy is None)


def test_the_taxonomy_maps_into_its_own_list() -> None:
    taxonomy = load_taxonomy()
    used = {common for table in taxonomy.tables.values() for common in table.values()}
    assert used - set(taxonomy.categories) == set()
    assert OTHER in taxonomy.categories
    assert set(taxonomy.unverified) <= set(taxonomy.tables)
    with pytest.raises(UsageError, match="no taxonomy table named 'siou': there are beavertails-v"):
        mapping_of("siou")


def test_what_is_not_pinned_is_marked() -> None:
    for name in list_manifests(PoolManifest):
        manifest = load_manifest(PoolManifest, name)
        if manifest.format == "datasets" and manifest.revision is None:
            assert "revision" in manifest.unverified, name


def test_the_panel_of_seven() -> None:
    panel = load_manifest(PanelManifest, "seven")
    assert len(panel.models) == 7
    assert panel.sampling.samples == 5
    for name, spec in panel.models.items():
        assert spec.engine == "vllm", name
        assert not spec.trust_remote_code, name
        assert spec.accelerator is not None, name
        assert spec.size_b is not None, name
        assert spec.size_b * 2 < 0.5 * 80, name  # bfloat16 weights leave half of 80 GB


# What makers show of their models' replies; (reply, reasoning, answer) by model.
REPLIES = {
    "glm-4-1v-9b": [  # README.md and glmv_reward/README.md of github.com/zai-org/GLM-V
        (
            "<think>\nI need to observe what these people are doing. Oh, they are celebrating on "
            "the soccer field.</think>\n<answer>They are celebrating on the soccer field.</answer>",
            "I need to observe what these people are doing. Oh, they are celebrating on the "
            "soccer field.",
            "They are celebrating on the soccer field.",
        ),
        (
            "<think>15 + 27 = 42</think><answer><|begin_of_box|>42<|end_of_box|></answer>",
            "15 + 27 = 42",
            "42",
        ),
    ]
}


def test_a_model_of_the_seven_is_read_as_its_maker_shows_or_marked_unverified() -> None:
    panel = load_manifest(PanelManifest, "seven")
    for name, spec in panel.models.items():
        assert spec.reasoning is not None, name
        assert (name in REPLIES) != (f"models.{name}.reasoning" in panel.unverified), name
        for reply, reasoning, answer in REPLIES.get(name, ()):
            found = split_reasoning(pa.array([reply]), spec.reasoning)
            assert [part[0].as_py() for part in found] == [reasoning, answer]
        asks = panel.asked(spec).system or ""
        assert (name in REPLIES) != (spec.reasoning.open in asks), name


def test_what_the_seven_and_the_judges_read_and_write_fits_their_context() -> None:
    """A picture at its limit, 1,000 tokens of question, all that may be written; in tokens."""
    panel = load_manifest(PanelManifest, "seven")
    for name, spec in panel.models.items():
        asked = panel.asked(spec)
        assert asked.max_pixels is not None
        needed = asked.max_pixels / 28**2 + 1000 + panel.sampling.max_tokens
        assert needed <= asked.settings["max_model_len"], name
    response = 1.4 * panel.sampling.max_tokens  # another tokenizer's
    for name in ("grm", "grm-rl-7b", "held-out"):
        judge = load_manifest(JudgeManifest, name)
        assert judge.model is not None
        assert judge.model.max_pixels is not None
        shown = 2 * response if judge.compares else response
        needed = judge.model.max_pixels / 28**2 + 1000 + 1000 + shown + judge.sampling.max_tokens
        assert needed <= judge.model.settings["max_model_len"], name


def test_the_judges_are_no_panel_members_and_differ() -> None:
    panel = {spec.source for spec in load_manifest(PanelManifest, "seven").models.values()}
    judges = [load_manifest(JudgeManifest, name) for name in ("grm", "grm-rl-7b", "held-out")]
    sources = [judge.model.source for judge in judges if judge.model is not None]
    assert len(set(sources)) == 3
    assert not panel & set(sources)
    assert "model.source" in load_manifest(JudgeManifest, "grm-rl-7b").unverified


def test_the_box_of_10k() -> None:
    box = load_manifest(BoxManifest, "qi-safe-10k")
    edges = (box.q_low.quantile, box.q_high.quantile, box.u_min.quantile)
    assert edges == (0.25, 0.75, 0.6)
    assert box.limit == 10_000
    assert "our choice" in box.source


@pytest.mark.parametrize("size", ["3b", "7b"])
def test_the_recipes_follow_the_paper_where_it_tells(size: str) -> None:
    recipe = load_manifest(RecipeManifest, f"safer-vlm-{size}")
    assert recipe.policy == f"Qwen/Qwen2.5-VL-{size.upper()}-Instruct"
    assert (recipe.samples_per_prompt, recipe.rollout.unsafe) == (5, "reflect")
    assert (recipe.learning_rate, recipe.beta, recipe.rollout.temperature) == (1e-6, 0.01, 1.0)
    assert recipe.judge in list_manifests(JudgeManifest)
    unset = {"name", "about", "source", "sources", "unverified", "revision", "seed", "rollout"}
    switches = {"gradient_checkpointing", "bf16", "use_vllm"}
    written = set(recipe.model_fields_set) - unset - switches
    assert written - set(recipe.sources) == set()  # each value says where it is from


def test_the_suites_hold_benchmarks_only() -> None:
    for name in list_manifests(SuiteManifest):
        for each in load_manifest(SuiteManifest, name).benchmarks:
            assert load_manifest(PoolManifest, each.pool).benchmark, each.label


def test_the_six_are_marked_as_our_choice() -> None:
    six = load_manifest(SuiteManifest, "six")
    pools = "siuo mss-bench beavertails-v-eval mm-safetybench spa-vl-harm vlguard-test"
    assert [each.pool for each in six.benchmarks] == pools.split()
    assert "not all public" in six.source
    assert six.unverified == ("benchmarks",)


@pytest.mark.parametrize(
    ("benchmarks", "said"),
    [
        ("[]", "benchmarks: Tuple should have at least 1 item"),
        ("[{label: A, pool: x}, {label: A, pool: y}]", "the label 'A' comes twice"),
        ("[{label: A, pool: x}, {label: B, pool: x}]", "the pool 'x' comes twice"),
        ("[{label: '', pool: x}]", "benchmarks.0.label: String should have at least 1 char"),
        ("[{pool: x}]", "field 'benchmarks.0.label' is missing"),
    ],
)
def test_a_suite_that_does_not_hold(benchmarks: str, said: str) -> None:
    text = f"name: mine\nabout: mine.\nbenchmarks: {benchmarks}\n"
    with pytest.raises(UsageError, match=f"manifest my.yaml: .*{said}"):
        parse_manifest(SuiteManifest, text, "my.yaml")


def test_an_unknown_field_is_refused_by_name() -> None:
    text = manifest_text(PoolManifest, "siuo").replace("license:", "licence:")
    with pytest.raises(UsageError, match="unknown field 'licence' \\(allowed: name, about"):
        parse_manifest(PoolManifest, text, "my.yaml")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("format: csv\n", "a pool of format csv needs a path"),
        ("path: x\n", "a pool has either a format or parts"),
        ("format: mini\nparts: [mini]\n", "a pool has either a format or parts"),
        ("format: csv\npath: x\nquestion_text: q\n", "either columns.question or question_text"),
        ("format: csv\npath: x\ncolumns: {question: null}\n", "either columns.question or questi"),
        ("format: csv\npath: x\nshard_size: 0\n", "shard_size: Input should be greater than or"),
        ("format: csv\npath: x\nrisk: high\n", "risk: Input should be 'none', 'explicit' or 'im"),
    ],
)
def test_a_pool_that_does_not_hold(fields: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"manifest my.yaml: .*{said}"):
        parse_manifest(PoolManifest, f"name: mine\nabout: mine.\n{fields}", "my.yaml")


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match="no box manifest named 'maxi': shipped ones are mini, qi"):
        load_manifest(BoxManifest, "maxi")


def test_a_manifest_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nabout: mine.\nformat: csv\npath: p.csv\n")
    assert load_manifest(PoolManifest, str(tmp_path / "mine.yaml")).path == "p.csv"
