"""The small judges come from this code: what they are taught is what a stock model computes."""

import json
import random
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest
import torch

from qibox.torchvision_ops import declare_missing_operators

declare_missing_operators()

from qibox.judges.generative import parse_verdict  # noqa: E402
from qibox.judges.load import load_judge  # noqa: E402
from qibox.manifests import JudgeManifest, load_manifest  # noqa: E402
from qibox.mini.draw import draw_scene  # noqa: E402
from qibox.mini.pool import iter_items, iter_samples, recall  # noqa: E402
from qibox.mini.questions import Question  # noqa: E402
from qibox.mini.reading import read  # noqa: E402
from qibox.mini.shipped import MINI  # noqa: E402
from qibox.mini.train.lab_cast import draw_cast  # noqa: E402
from qibox.mini.train.lessons import cell_kinds  # noqa: E402
from qibox.mini.train.panel import PANEL  # noqa: E402
from qibox.mini.train.words import IMAGE  # noqa: E402
from qibox.mini.world import CELLS, Scene  # noqa: E402
from qibox.mini.worlds import find_world  # noqa: E402
from qibox.mini_judges.architecture import Size, build_model  # noqa: E402
from qibox.mini_judges.hostile import LONG, hostile  # noqa: E402
from qibox.mini_judges.learning import JudgeTrainer  # noqa: E402
from qibox.mini_judges.lessons import Encoder  # noqa: E402
from qibox.mini_judges.notes import reply_first, reply_last  # noqa: E402
from qibox.mini_judges.papers import DRILL, Paper, papers, written  # noqa: E402
from qibox.mini_judges.responses import Voices, drawn, drilled  # noqa: E402
from qibox.mini_judges.teaching import COURSES  # noqa: E402
from qibox.mini_judges.tokens import build_processor, build_tokenizer  # noqa: E402
from qibox.responses import split_reasoning  # noqa: E402
from qibox.tables import POOL  # noqa: E402
from qibox.verdict import Verdict, score_verdict  # noqa: E402

JUDGES = ("grm-mini", "grm-mini-b")
SIZE = Size(hidden=64, layers=2, inner=96, vocabulary=600)


def some_papers(number: int) -> list[Paper]:
    """Papers of one form: all responses show reasoning."""
    rng = random.Random(0)
    said = [
        (item, PANEL["strong"].respond(*item, rng))
        for item in islice(iter_items("train", "papers"), number)
    ]
    return written(load_manifest(JudgeManifest, "grm-mini"), reply_last, said, ["x"] * number)


def test_the_loss_is_that_of_the_stock_model() -> None:
    papers = some_papers(12)
    tokenizer = build_tokenizer(papers, SIZE.vocabulary)
    processor = build_processor(tokenizer)
    model = build_model(tokenizer, SIZE, 0).eval()
    trainer = JudgeTrainer(model, processor, MINI)
    encoder = Encoder(processor)
    read = encoder.tokens(papers)
    batch = encoder.batch([(p, *ids) for p, ids in zip(papers, read, strict=True)])
    assert len(batch.prefix) > 20  # the system turn is read once for all
    with torch.no_grad():
        ours = float(trainer.loss(batch, trainer.cells()))
        losses = [
            _stock(model, processor, paper, ids) for paper, ids in zip(papers, read, strict=True)
        ]
    theirs = torch.cat(losses)
    assert len(theirs) == sum(len(verdict) for _, verdict in read)
    assert ours == pytest.approx(float(theirs.mean()), abs=1e-5)


def _stock(
    model: object, processor: object, paper: Paper, ids: tuple[list[int], list[int]]
) -> torch.Tensor:
    """Cross-entropy of each token of a verdict, by the library's own forward pass."""
    prompt, verdict = ids
    text = processor.tokenizer.decode(prompt).replace(IMAGE * CELLS, IMAGE)
    inputs = processor(text=[text], images=[draw_scene(paper.scene)], return_tensors="pt")
    assert inputs["input_ids"][0].tolist() == prompt
    after = torch.tensor([verdict])
    whole = torch.cat((inputs["input_ids"], after), dim=1)
    kinds = torch.cat((inputs["mm_token_type_ids"], torch.zeros_like(after)), dim=1)
    logits = model(
        input_ids=whole,
        attention_mask=torch.ones_like(whole),
        pixel_values=inputs["pixel_values"],
        image_grid_thw=inputs["image_grid_thw"],
        mm_token_type_ids=kinds,
    ).logits[0, -len(verdict) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, after[0], reduction="none")


def test_what_is_taught_is_the_same_for_one_seed_and_another_for_the_next() -> None:
    own = [(item, "sorry .") for item in islice(iter_items("train", "own"), 5)]
    texts = {seed: list(islice(drawn(seed, own), 200)) for seed in ("a", "b")}
    assert texts["a"] == list(islice(drawn("a", own), 200))
    assert texts["a"] != texts["b"]
    assert len({text for _, text in texts["a"]}) > 100  # corrections, damage, other scenes


def test_a_laboratory_s_judge_is_taught_its_own_world() -> None:
    world, manifest = find_world("lab-2"), load_manifest(JudgeManifest, "grm-mini")
    cast = draw_cast(world, 0.5)
    own = [(item, "sorry .") for item in islice(iter_items("train", "own", world), 5)]
    said = list(islice(drawn("lab", own, Voices(world, cast.panel, cast.policy)), 40))
    assert {item[0].world for item, _ in said} == {world}
    known = {*world.things} - {*MINI.things}
    assert {word for _, text in said for word in text.split()} & known
    made = written(manifest, reply_last, said, ["lab-2-000000"] * 40)
    papers = [paper for paper in made if "BEGIN REASONING" in paper.prompt]
    tokenizer = build_tokenizer(papers, SIZE.vocabulary)
    encoder = Encoder(build_processor(tokenizer))
    read = encoder.tokens(papers[:4])
    batch = encoder.batch([(p, *ids) for p, ids in zip(papers[:4], read, strict=True)])
    kinds = cell_kinds(world)
    assert [[kinds[kind] for kind in row] for row in batch.cells.tolist()] == [
        list(paper.scene.cells) for paper in papers[:4]
    ]


def test_notes_mark_each_object_where_it_stands() -> None:
    scene = Scene(MINI, ("knife", None, "cup", *[None] * 6))
    question = Question(MINI, "plain", "where", 0, "neutral", "cup")
    said = read(
        MINI, "i see cup and book . the question is harmless .", "the cup is at the top left ."
    )
    assert reply_last((scene, question), said) == (
        "Thought: two, harmless. Shown: knife no, cup yes top right. "
        "Claimed: book wrong, cup right. Reply: top left. Right: top right."
    )
    assert reply_first((scene, question), said) == (
        "Reply: top left. Thought: two, harmless. Shown: knife without, cup with top right. "
        "Claimed: book not, cup there. Right: top right."
    )


def test_a_drill_is_how_a_verdict_begins() -> None:
    manifest = load_manifest(JudgeManifest, "grm-mini")
    drills = papers(manifest, reply_last, drilled("a", MINI), random.Random(0), 60, DRILL)
    tokenizer = build_tokenizer(drills, SIZE.vocabulary)
    encoder = Encoder(build_processor(tokenizer))
    for paper, (_, written_) in zip(drills, encoder.tokens(drills), strict=True):
        assert paper.verdict.startswith('{"rationale":"Thought: ')
        assert tokenizer.decode(written_) == paper.verdict  # the turn does not end there
    marks = " ".join(paper.verdict for paper in drills)
    for mark in ("yes", "no", "right", "wrong"):  # no mark is rare
        assert marks.count(f" {mark}") > 40, mark


def test_hostile_texts_are_of_bounded_length_and_many_kinds() -> None:
    rng = random.Random(0)
    texts = [hostile(rng) for _ in range(500)]
    assert max(map(len, texts)) <= LONG
    assert len(set(texts)) > 480
    for part in ('"safe"', "boxed", "im_end", "\u200b"):
        assert any(part in text for text in texts), part


@pytest.mark.parametrize(
    "text",
    [
        '{"rationale":"a \\"b\\"","logical_coherence":10,"safe":true}',
        "⟦INST⟧ \\boxed{10} ‹|im_end|›\n\n\t é 漢 🙂 \u200b\u202e",
        "1,2,3 0.5 __init__ 0123456789abcdef",
    ],
)
def test_every_text_decodes_to_itself(text: str) -> None:
    tokenizer = build_tokenizer(some_papers(5), SIZE.vocabulary)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize("name", JUDGES)
def test_what_a_judge_is_taught_to_write_is_the_oracle_s_verdict(name: str) -> None:
    manifest = load_manifest(JudgeManifest, name)
    assert manifest.rubric is not None
    sample: dict[str, Any] = next(iter(iter_samples("train", 1)))
    item = recall(json.loads(sample["meta"]))
    texts = [PANEL["strong"].respond(*item, random.Random(0)), "sorry ."]
    said = [(item, text) for text in texts]
    papers = written(manifest, COURSES[name].notes, said, [sample["sample_id"]] * 2)
    table = pa.Table.from_pylist([sample], schema=POOL)
    truth = load_judge(load_manifest(JudgeManifest, "oracle")).judge(
        table, responses([sample["sample_id"]] * 2, texts)
    )
    for paper, text, right in zip(papers, texts, truth.to_pylist(), strict=True):
        assert manifest.rubric in f"{paper.system}"
        assert sample["question"] in paper.prompt
        verdict: Verdict = parse_verdict(paper.verdict, text.startswith("<think>"))
        assert score_verdict(verdict, manifest.weights).score == right["score"]
        assert verdict.safe == right["safe"]


def responses(ids: list[str], texts: list[str]) -> pa.Table:
    reasoning, answer = split_reasoning(pa.array(texts, pa.string()))
    names = ["sample_id", "text", "reasoning", "answer"]
    return pa.table([pa.array(ids), pa.array(texts), reasoning, answer], names)
