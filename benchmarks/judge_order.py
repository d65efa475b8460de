"""What a judge's prompt costs once a prefix cache serves what prompts share: new order over old.

Old: picture, then rubric with question and response inside it, form and schema last, the code of
the quotations made of the response; asked model by model. New (:mod:`qibox.judges.generative`):
rubric, form and schema in the system turn, picture, question, response last; sample by sample. Both
ask about the same responses through the real vLLM, with the shipped rubric, blocks of 32 tokens and
an empty cache at the start; what counts is prompt tokens less those that came from the cache.

The model has random weights, since none of a judge's words matter here; its tokenizer is a
byte-level BPE learned from the prompts, so that text, schema and codes cost about what they cost a
real one. A picture is 64 tokens; a real photo costs ten times that, in both orders alike once a
sample. Responses have as many words as `--words` says, half of them with reasoning.

    python benchmarks/judge_order.py

Last line: `ratio: VALUE`.
"""

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa

from qibox.engines.vllm import VLLMEngine
from qibox.judges.generative import FORM, RUBRIC, GenerativeJudge, verdict_schema
from qibox.judges.quoting import mark, quote
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import VLLMSettings
from qibox.mini.pool import iter_samples
from qibox.prompts import make_prompts
from qibox.responses import split_reasoning
from qibox.tables import SAMPLES
from qibox.verdict import VerdictWeights

MODELS, K = 7, 5
BLOCK = 32  # tokens
CONTEXT = 4096
ONE = Sampling(temperature=0.0, max_tokens=1)  # what it writes does not matter
SIDE = 224  # pixels of a picture: 64 tokens


class Counting(VLLMEngine):
    """Notes how many tokens of its prompts came from the cache."""

    tokens = cached = 0

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        """Complete the prompts by one token each."""
        return super().generate(prompts, ONE)

    def _outputs(self) -> list[Any]:
        outputs = super()._outputs()
        self.tokens += sum(len(output.prompt_token_ids) for output in outputs)
        self.cached += sum(output.num_cached_tokens for output in outputs)
        return outputs

    def count(self) -> int:
        """Tokens that had to be computed since the last call; empties the cache."""
        computed = self.tokens - self.cached
        print(f"  {self.tokens:,} tokens of prompts, {self.cached:,} from the cache: {computed:,}")
        self.tokens = self.cached = 0
        assert self._llm.reset_prefix_cache()
        return computed


def made_samples(count: int) -> pa.Table:
    """Samples of the miniature world, their pictures enlarged."""
    import io

    from PIL import Image

    rows = []
    for sample in iter_samples("heldout", count):
        with Image.open(io.BytesIO(sample["image"]["bytes"])) as opened:
            large = opened.convert("RGB").resize((SIDE, SIDE))
        file = io.BytesIO()
        large.save(file, "PNG")
        rows.append({**sample, "image": {"bytes": file.getvalue(), "path": None}})
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def made_responses(samples: pa.Table, words: int) -> pa.Table:
    """Responses of random words, model by model; every second one reasons first."""
    drawn = random.Random(0)
    known = sorted({w for q in samples["question"].to_pylist() for w in q.split()})
    ids, texts = [], []
    for _ in range(MODELS):
        for sample_id in samples["sample_id"].to_pylist():
            for k in range(K):
                said = drawn.choices(known, k=words)
                half = len(said) // 2 if k % 2 else 0
                thought = f"<think> {' '.join(said[:half])} </think> " if half else ""
                ids.append(sample_id)
                texts.append(thought + " ".join(said[half:]))
    reasoning, answer = split_reasoning(pa.array(texts))
    return pa.table({"sample_id": ids, "text": texts, "reasoning": reasoning, "answer": answer})


def old_prompts(samples: pa.Table, responses: pa.Table) -> pa.Table:
    """The prompts as they were put before, in the responses' order."""
    place = {sample_id: i for i, sample_id in enumerate(samples["sample_id"].to_pylist())}
    questions = samples["question"].to_pylist()
    head, _, criteria = RUBRIC.partition("\n\n")
    keys, texts, rows = [], [], []
    for number, response in enumerate(responses.to_pylist()):
        sample = place[response["sample_id"]]
        code = mark("judge", response["sample_id"], response["text"])
        reasoning = response["reasoning"]
        shown = [head, quote("QUESTION", questions[sample], code)]
        if reasoning is not None:
            shown.append(quote("REASONING", reasoning, code))
        shown += [quote("ANSWER", response["answer"], code), criteria]
        schema = json.dumps(verdict_schema(reasoning is not None), separators=(",", ":"))
        form = FORM.replace("the code named before the question", f"the code {code}")
        form = form.replace("{reasoning}", "").replace("{schema}", schema)
        keys.append(f"{number}")
        texts.append("\n\n".join(shown) + form)
        rows.append(sample)
    images = samples["image"].take(pa.array(rows))
    return make_prompts(keys, None, pa.array(texts), images)


def make_model(folder: Path, texts: Sequence[str]) -> None:
    """Write a small model of the panel's architecture, with a tokenizer learned from texts."""
    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        AutoConfig,
        AutoProcessor,
        PreTrainedTokenizerFast,
        Qwen2_5_VLForConditionalGeneration,
    )

    shipped = Path(str(resources.files("qibox.mini"))) / "models" / "strong"
    processor = AutoProcessor.from_pretrained(shipped)
    old = processor.tokenizer
    special = [token.content for token in old.added_tokens_decoder.values()]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=old.eos_token,
        pad_token=old.pad_token,
        additional_special_tokens=special,
    )
    config = AutoConfig.from_pretrained(shipped)
    config.text_config.vocab_size = len(tokenizer)
    config.text_config.max_position_embeddings = CONTEXT
    config.text_config.eos_token_id = tokenizer.eos_token_id
    for name in ("image_token_id", "video_token_id", "vision_start_token_id"):
        token = old.convert_ids_to_tokens(getattr(config, name))
        setattr(config, name, tokenizer.convert_tokens_to_ids(token))
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "tokenizer.json").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    for extra in ("generation_config.json",):
        (folder / extra).unlink(missing_ok=True)


def main() -> None:
    """Make everything, ask in both orders, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--words", type=int, default=150, help="of a response")
    given = parser.parse_args()
    samples = made_samples(given.samples)
    responses = made_responses(samples, given.words)
    before = old_prompts(samples, responses)
    folder = Path(tempfile.mkdtemp())
    try:
        make_model(folder, before["text"].to_pylist())
        settings = VLLMSettings(
            max_model_len=CONTEXT,
            extra={"block_size": BLOCK},
            mm_processor_kwargs={"size": {"shortest_edge": 784, "longest_edge": SIDE * SIDE}},
        )
        engine = Counting("judge", str(folder), settings)
        judge = GenerativeJudge("judge", engine, VerdictWeights(), ONE)
        engine.generate(before.slice(0, 4), ONE)  # a warm-up
        engine.count()
        print(f"{len(responses)} responses to {len(samples)} samples, old order:")
        engine.generate(before, ONE)
        old = engine.count()
        print("new order:")
        asked = engine.generate
        seen: set[str] = set()

        def once(prompts: pa.Table, sampling: Sampling) -> pa.Table:
            """Leave out second attempts: one token is never a verdict."""
            keys = prompts["key"].to_pylist()
            if seen.issuperset(keys):
                return pa.concat_tables([done[key] for key in keys])
            found = asked(prompts, sampling)
            done.update({key: found.slice(i, 1) for i, key in enumerate(keys)})
            seen.update(keys)
            return found

        done: dict[str, pa.Table] = {}
        engine.generate = once  # type: ignore[method-assign]
        judge.judge(samples, responses)
        new = engine.count()
    finally:
        shutil.rmtree(folder)
    print(f"ratio: {new / old:.3f}")


if __name__ == "__main__":
    main()
