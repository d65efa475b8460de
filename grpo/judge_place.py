"""Where a training's judge runs: never on the cards that train.

A judge that vLLM runs takes nearly all of a card. It is asked where `qibox serve` runs it, or, by a
recipe's ``judge_gpus``, on cards of its own, where the training starts and ends its server.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from qibox.engines.load import resolve_engine, visible_gpus
from qibox.errors import UsageError, command
from qibox.judges.base import Judge
from qibox.judges.chosen import chosen_judges
from qibox.judges.enduring import EnduringJudge
from qibox.judges.load import load_judge, resolve_judge
from qibox.judges.placing import at_place
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.recipe import RecipeManifest
from qibox.run.directory import Run


def needs_cards(judge: JudgeManifest) -> bool:
    """Whether vLLM would load the judge where the training is."""
    model = judge.model
    return model is not None and model.at is None and resolve_engine(model)[0] == "vllm"


def check_place(judge: JudgeManifest, recipe: RecipeManifest, processes: int) -> None:
    """Refuse a judge that would fight with the training for its cards.

    Raises:
        UsageError: it is vLLM's and has neither cards of its own nor a server.
    """
    if not needs_cards(judge):
        return
    cards, own = len(visible_gpus()), recipe.judge_gpus
    if own and (cards == 0 or processes + own <= cards):
        return
    serve = (
        f"start it on another card with {command('serve', judge.name, gpus='N')} and say where it "
        "is, such as at http://127.0.0.1:8000/v1"
    )
    if own:
        raise UsageError(
            f"judge_gpus {own} and a card for each of {processes} training processes are "
            f"{own + processes}, and {cards} {'is' if cards == 1 else 'are'} visible: lower one of "
            f"them, or {serve}",
            fields=["judge_gpus", "judge_at"],
        )
    there = {0: "no card", 1: "the one card"}.get(cards, f"{cards} cards")
    alone = {0: ", or let it have the processor (judge_gpus 1)", 1: ""}
    raise UsageError(
        f"judge '{judge.name}' is run by vLLM and would share {there} here with the training: "
        f"{serve}" + alone.get(cards, ", or give it cards of its own (judge_gpus)"),
        fields=["judge_at"] if cards == 1 else ["judge_at", "judge_gpus"],
    )


def settled_judge(judge: JudgeManifest) -> JudgeManifest:
    """The judge as a training's lineage tells it: with its revision, without where it is asked.

    Raises:
        UsageError: its weights are not here, or where it is said to be served is something else.
    """
    if judge.model is None or (judge.model.at is None and not needs_cards(judge)):
        return judge
    return at_place(resolve_judge(judge), None)


@contextmanager
def asked_judge(judge: JudgeManifest, url: str | None, recipe: RecipeManifest) -> Iterator[Judge]:
    """The judge at its address, at a server of its own that ends with the block, or loaded here.

    Raises:
        QiboxError: it cannot be started.
    """
    if url is None and recipe.judge_gpus and needs_cards(judge):
        from qibox.engines.serving import ModelServer, servable

        assert judge.model is not None
        cards = visible_gpus()[-recipe.judge_gpus :]
        served = servable(judge.name, judge.model)
        with closing(ModelServer(judge.name, served, gpus=tuple(cards))) as server:
            server.wait()
            with asked_judge(judge, server.url, recipe) as found:
                yield found
        return
    loaded = load_judge(at_place(judge, url))
    with closing(EnduringJudge(loaded, judge.name, together=judge.compares)) as found:
        yield found


@contextmanager
def second_judge(run: Run, recipe: RecipeManifest) -> Iterator[Judge | None]:
    """The judge that a recipe's monitors ask beside the one that rewards; None without one.

    Raises:
        UsageError: neither the run nor the package knows a judge of that name.
        QiboxError: it cannot be started.
    """
    name = recipe.monitors.second_judge
    if name is None:
        yield None
        return
    (judge,) = chosen_judges([name], run.manifest.judges)
    with asked_judge(judge, None, recipe) as found:
        yield found
