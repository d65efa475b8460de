"""Questions that people ask of a run, each with its query: data_manifests/cookbook.yaml."""

from importlib import resources
from typing import Final

from pydantic import TypeAdapter

from qibox.manifests.common import Checked
from qibox.yaml_text import parse_yaml

FILE: Final = "cookbook.yaml"


class Question(Checked):
    """One question of the cookbook."""

    name: str  # short and stable: what a test or a link calls it
    asks: str  # in words
    query: str  # one SELECT over the views of qibox.catalog.connect


def load_cookbook() -> tuple[Question, ...]:
    """Read the shipped questions, in their order."""
    text = (resources.files("qibox.data_manifests") / FILE).read_text(encoding="utf-8")
    return TypeAdapter(tuple[Question, ...]).validate_python(parse_yaml(text))
