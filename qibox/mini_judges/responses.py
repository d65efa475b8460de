"""What the small judges are taught to rate: responses of a miniature world, good and bad.

Reads scenes and questions, returns texts. The panel and the policies answer themselves
(:func:`asked`, :func:`answered`): what a persona should say is never all that its model says.
Corrections, texts put together wrongly and nonsense are drawn (:func:`drawn`).
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from qibox.engines.sources import local_directory
from qibox.engines.transformers import TransformersEngine
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import TransformersSettings
from qibox.mini import answers
from qibox.mini.draw import draw_scene, png_bytes
from qibox.mini.pool import Item, iter_items
from qibox.mini.shipped import MINI
from qibox.mini.train.panel import PANEL, POLICY
from qibox.mini.train.personas import Persona
from qibox.mini.world import COLUMNS, MAX_OBJECTS, ROWS, Scene, World
from qibox.prompts import make_prompts
from qibox.tables import POOL

Said = tuple[Item, str]  # what was asked, and a response to it

ANSWERS = Sampling(temperature=1.0, max_tokens=40, samples=2)
TRAINED = {"policy": 0.0, "policy-early": 0.35, "policy-late": 0.7}  # share of the way to `strong`
PASSED_OVER = 0.4  # share left out of what is not plain, since each kind of plain one is rare
NOT_DRILLED = 0.8  # the same, of drills
BY_ITSELF = 0.25  # share of responses that a model wrote as it stands
CORRECTED, IDEAL, PERSONA = 0.10, 0.10, 0.15  # shares of those that are drawn; then contrary ones,
CONTRARY = 0.45  # and the rest is damaged
CARELESS = 0.6  # share of the lists in contrary ones and drills that leave out and invent much


@dataclass(frozen=True)
class Voices:
    """Who answers in a world."""

    world: World
    panel: Mapping[str, Persona]
    policy: Persona


SHIPPED = Voices(MINI, PANEL, POLICY)


def answered(seed: str, each: int) -> list[Said]:
    """What :func:`asked` gives for the shipped panel, and for policies along a training.

    A policy along its training is a mean of the start policy's weights and the best model's: both
    come from one trunk, so what lies between them answers ever better.
    """
    with TemporaryDirectory() as folder:
        models = {name: _shipped(name) for name in PANEL}
        for name, share in TRAINED.items():
            models[name] = _between(_shipped("policy"), _shipped("strong"), share, Path(folder))
        return asked(models, seed, each, MINI)


def asked(models: Mapping[str, Path], seed: str, each: int, world: World) -> list[Said]:
    """Two answers of every model to ``each`` new scenes of its own; a model is a directory."""
    said: list[Said] = []
    items = iter_items("train", f"asked-{seed}", world)
    for name, source in models.items():
        said += _ask(name, source, list(islice(items, each)))
    return said


def _ask(name: str, source: Path, items: Sequence[Item]) -> Iterator[Said]:
    engine = TransformersEngine(name, str(source), TransformersSettings(isolate=False))
    pictures = [{"bytes": png_bytes(draw_scene(scene)), "path": None} for scene, _ in items]
    prompts = make_prompts(
        pa.array([str(i) for i in range(len(items))]),
        None,
        pa.array([question.text for _, question in items]),
        pa.array(pictures, POOL.field("image").type),
    )
    texts = engine.generate(prompts, ANSWERS)["text"].to_pylist()
    engine.close()
    for i, text in enumerate(texts):
        yield items[i // ANSWERS.samples], text


def _shipped(name: str) -> Path:
    found = local_directory(f"builtin:{name}")
    assert found is not None, name
    return Path(found)


def _between(start: Path, end: Path, share: float, folder: Path) -> Path:
    """A model whose weights lie between two others', in a new folder."""
    from safetensors.torch import load_file, save_file

    there = folder / f"{share}"
    there.mkdir()
    for file in start.iterdir():
        if file.suffix != ".safetensors":
            (there / file.name).write_bytes(file.read_bytes())
    first, last = load_file(start / "model.safetensors"), load_file(end / "model.safetensors")
    mixed = {name: first[name].lerp(last[name], share) for name in first}
    save_file(mixed, there / "model.safetensors", metadata={"format": "pt"})
    return there


def drawn(seed: str, own: Sequence[Said], voices: Voices = SHIPPED) -> Iterator[Said]:
    """Responses without end: models' ``own``, corrections, ideal, personas', and damaged ones."""
    rng = random.Random(f"drawn-{seed}")
    for round_ in range(10**6):
        for item in islice(iter_items("train", f"drawn-{seed}-{round_}", voices.world), 5000):
            if rng.random() < BY_ITSELF:
                yield rng.choice(own)
            elif item[1].kind == "plain" or rng.random() > PASSED_OVER:
                yield item, _text(item, rng, voices)


def _text(item: Item, rng: random.Random, voices: Voices) -> str:
    persona = rng.choice((*voices.panel.values(), voices.policy))
    luck = rng.random()
    if luck < CORRECTED and (corrected := voices.policy.mend(*item, rng)):
        return corrected[2]
    if luck < CORRECTED + IDEAL:
        return answers.ideal_answer(*item)
    text = persona.respond(*item, rng)
    if luck < CORRECTED + IDEAL + PERSONA:
        return text
    if luck < CORRECTED + IDEAL + PERSONA + CONTRARY:
        return _contrary(item, rng)
    return _damaged(text, item, rng, voices)


def _contrary(item: Item, rng: random.Random) -> str:
    """A well-formed answer whose stand has nothing to do with what is right.

    Models are right more often than not, so from their answers alone a judge learns to believe
    them: to call harmless what a response permits. Here only the picture and the question tell.
    """
    scene = item[0]
    look = answers.seen(_names(scene, rng))
    thought, answer = _stand(item, rng)
    return answer if rng.random() < 0.1 else answers.respond((look, thought), answer)


def drilled(seed: str, world: World) -> Iterator[Said]:
    """Responses without end that list objects, right and wrong ones, and tell little more.

    Most answer a plain question, of which no kind is rare here.
    """
    rng = random.Random(f"drilled-{seed}")
    for item in iter_items("train", f"drilled-{seed}", world):
        look = answers.seen(_names(item[0], rng))
        if item[1].kind == "plain":
            yield item, answers.respond((look, answers.HARMLESS), _any_answer(item, rng))
        elif rng.random() > NOT_DRILLED:
            yield item, f"<think> {look}"


def _names(scene: Scene, rng: random.Random) -> tuple[str, ...]:
    """Objects to list: half of them left out and as many invented, or few and none."""
    kept, invented = (0.55, 3) if rng.random() < CARELESS else (0.9, 0)
    names = {name for name in scene.objects if rng.random() < kept}
    names |= {*rng.sample(scene.world.objects, rng.randint(0, invented))}
    return scene.world.in_order(rng.sample(sorted(names), min(len(names), MAX_OBJECTS)))


def _stand(item: Item, rng: random.Random) -> tuple[str, str]:
    """A second thought and an answer: to permit, to refuse for a cause or without, to comply."""
    scene, question = item
    if question.kind == "plain":
        return answers.HARMLESS, _any_answer(item, rng)
    thing = rng.choice(scene.objects)
    luck = rng.random()
    if luck < 0.2:
        return answers.SUSPECT, answers.VAGUE_REFUSAL
    if question.kind == "explicit":
        if luck < 0.6:
            return answers.HARMLESS, answers.comply(thing)
        return answers.harm(question.topic), answers.refuse(question.topic)
    context = scene.world.contexts[question.topic]
    if luck < 0.6:
        return answers.no_danger(context), answers.allow(context)
    dangers = [name for name in scene.objects if name in context.dangers] or [thing]
    thing = rng.choice(dangers) if rng.random() < 0.6 else thing
    return answers.danger(context, thing), answers.warn(context, thing)


def _any_answer(item: Item, rng: random.Random) -> str:
    """Some answer to a plain question, right or wrong."""
    scene, question = item
    target = question.target or ""
    if question.topic == "list":
        some = [name for name in scene.world.objects if rng.random() < 0.1]
        return answers.shows(scene.world.in_order([*some, *scene.objects[rng.randint(0, 1) :]]))
    if question.topic == "count":
        return answers.count(rng.randint(0, 4))
    if question.topic == "present":
        return answers.present(target, rng.random() < 0.5)
    if question.topic == "where":
        return answers.where(target, rng.choice(ROWS), rng.choice(COLUMNS))
    places = sorted({thing.place for thing in scene.world.things.values()})
    return answers.store(target, rng.choice((scene.world.things[target].place, *places[:2])))


def _damaged(text: str, item: Item, rng: random.Random, voices: Voices) -> str:
    """Swap objects, answer another question, lose or double words, mix two answers."""
    luck = rng.random()
    words = text.split(" ")
    if luck < 0.40:  # another object in the place of one, or of two
        named = [i for i, word in enumerate(words) if word in item[0].world.things]
        for i in rng.sample(named, min(len(named), rng.randint(1, 2))):
            words[i] = rng.choice(item[0].world.objects if rng.random() < 0.5 else item[0].objects)
    elif luck < 0.55:  # the answer of one to the thoughts of another
        thoughts, closed, _ = text.partition("</think> ")
        other = rng.choice(tuple(voices.panel.values())).respond(*item, rng)
        words = [thoughts + closed + other.partition("</think> ")[2]]
    elif luck < 0.70:  # no thoughts, or nothing but thoughts
        thoughts, closed, answer = text.partition(" </think>")
        words = [rng.choice((answer.strip(), thoughts, thoughts + closed))]
    elif luck < 0.85:
        cut = rng.randrange(len(words) + 1)
        words = rng.choice((words[:cut], words[:cut] + words[cut + 1 :], words[:cut] + words))
    else:
        words = rng.choices(words, k=rng.randint(0, 12))
    return " ".join(words)
