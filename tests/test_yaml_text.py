"""The compiled parser says what the plain one says."""

from pathlib import Path

import pytest
import yaml

from qibox.yaml_text import Loader, parse_yaml

SHIPPED = sorted((Path(__file__).parents[1] / "data_manifests").rglob("*.yaml"))


def test_the_compiled_parser_is_taken_where_there_is_one() -> None:
    assert Loader is (yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)


def test_shipped_files_are_read_as_the_plain_parser_reads_them() -> None:
    assert len(SHIPPED) > 30
    for path in SHIPPED:
        text = path.read_text(encoding="utf-8")
        assert parse_yaml(text) == yaml.safe_load(text), path


@pytest.mark.parametrize(
    "text", ["a: [1\nb: 2", "a: b: c", "a: \x01", "a: 'x", "\tb: 1", "a: !x 1"]
)
def test_what_is_no_yaml_is_none_for_both(text: str) -> None:
    for parse in (parse_yaml, yaml.safe_load):
        with pytest.raises(yaml.YAMLError):
            parse(text)


@pytest.mark.parametrize("loader", [Loader, yaml.SafeLoader])
def test_what_is_nested_too_deep_is_told_alike(loader: type[Loader]) -> None:
    with pytest.raises(RecursionError):
        parse_yaml("[" * 100_000, loader)
