"""What a run is made of, as checked YAML: pools, panels, judges, boxes, recipes and suites."""

from qibox.manifests.box import BoxManifest, Edge
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.load import KINDS, list_manifests, load_manifest
from qibox.manifests.panel import ModelSpec, PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.manifests.recipe import RecipeManifest
from qibox.manifests.rephraser import RephraserManifest
from qibox.manifests.suite import Benchmark, SuiteManifest

__all__ = [
    "KINDS",
    "Benchmark",
    "BoxManifest",
    "Edge",
    "JudgeManifest",
    "ModelSpec",
    "PanelManifest",
    "PoolManifest",
    "RecipeManifest",
    "RephraserManifest",
    "SuiteManifest",
    "list_manifests",
    "load_manifest",
]
