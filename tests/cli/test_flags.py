import pickle
from pathlib import Path

import click
import pytest

from qibox.cli.flags import naming_options, spelled
from qibox.cli.main import cli
from qibox.errors import QiboxError, UsageError, command
from tests.commands import qibox


def said(error: QiboxError, name: str) -> str:
    with pytest.raises(QiboxError) as caught, naming_options(name):
        raise error
    return str(caught.value)


def test_an_error_gains_the_options_of_its_fields_each_once() -> None:
    error = UsageError("too narrow: widen it", fields=["q_low", "q_high", "u_min"])
    assert said(error, "select") == "too narrow: widen it (--q-band, --u-min)"


def test_a_field_may_say_to_which_value() -> None:
    error = UsageError("another manifest", fields=["out", "rescore=judgments"])
    assert said(error, "score") == "another manifest (--out, --rescore judgments)"


def test_options_are_found_by_what_they_are_called_and_by_what_they_fill() -> None:
    error = UsageError("no", fields=["pool", "pools", "settings", "judge_at", "policy"])
    assert said(error, "eval") == "no (--pool, --setting, --judge-at, --policy)"
    assert said(UsageError("no", fields=["columns.sample_id"]), "score") == "no (--id-column)"


@pytest.mark.parametrize("fields", [[], ["colour"], ["q_low", "u_min"]])
def test_an_error_without_fields_or_with_those_of_no_option_is_left_as_it_is(
    fields: list[str],
) -> None:
    assert said(QiboxError("no", fields=fields), "status") == "no"


def test_fields_survive_the_way_out_of_another_process() -> None:
    error = pickle.loads(pickle.dumps(UsageError("no", fields=["u_min"])))
    assert (str(error), error.fields) == ("no", ("u_min",))


def test_a_command_in_a_text_is_shown_as_it_is_typed() -> None:
    for made, typed in (
        (command("score", out="runs/a", rescore="pool"), "score --out runs/a --rescore pool"),
        (
            command("select", "runs/a", name="qi", overwrite=True),
            "select runs/a --name qi --overwrite",
        ),
        (command("select", q_band=("4", "8"), u_min="1.5"), "select --q-band 4 8 --u-min 1.5"),
        (command("eval", "s3://b/a=b", pool="held"), "eval s3://b/a=b --pool held"),
        (command("eval", policy="my policy/x"), "eval --policy 'my policy/x'"),
        (command("status", "RUN", verify=True), "status RUN --verify"),
        (command("serve", "grm", gpus="N"), "serve grm --gpus N"),
        (command("doctor", colour="red"), "doctor colour=red"),
        (command("nothing", out="x"), "nothing out=x"),
    ):
        assert spelled(f"do {made}, out=1") == f"do `qibox {typed}`, out=1"


def test_every_command_that_a_text_names_is_typed_with_what_it_has(tmp_path: Path) -> None:
    done = qibox("select", tmp_path / "no run")
    assert f"`qibox score --out '{tmp_path}/no run'` makes one" in done.stderr
    assert done.status == 2


def test_the_group_itself_names_options_too() -> None:
    context = click.Context(cli)
    with pytest.raises(UsageError, match=r"give a directory.* \(--out\)$"):
        cli.main(["score", "--out", "memory://x"], standalone_mode=False, parent=context)
