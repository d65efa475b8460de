"""The transformers engine: any ``AutoModelForImageTextToText``, on a GPU or without one.

Prompts are sorted by length and decoded in left-padded batches, K rows each, from one prefill a
prompt. Sampling noise is keyed by (seed, model, key, k): how prompts are batched changes no noise.
Weights are read from safetensors only, and a model's own code runs only with consent.
"""

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from PIL import Image

from qibox.engines.batching import Batcher
from qibox.engines.chat import Neutraliser, messages
from qibox.engines.completions import Completion, assemble, completed, failure
from qibox.engines.dataurl import sendable
from qibox.engines.marks import keeping
from qibox.engines.noise import row_keys
from qibox.errors import QiboxError
from qibox.manifests.asking import USUAL_MANNER, Manner
from qibox.manifests.pool import MAX_PIXELS
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import TransformersSettings
from qibox.pool.images import ImageError, decode_image, shrunk
from qibox.torchvision_ops import declare_missing_operators

TINY = 50_000_000  # parameters; below it, a batch of 256 is fastest even without a GPU
SEQUENCES = {"gpu": 256, "tiny": 256, "cpu": 8}  # at once; 256 measured on the miniature models


@dataclass
class _Item:
    """One prompt on its way: its rendered template and its image's bytes."""

    index: int
    key: str
    text: str
    image: bytes | None
    length: int = 0  # tokens before the image's are inserted
    area: int = 0  # pixels


class TransformersEngine:
    """Runs one model with the transformers library."""

    def __init__(
        self,
        model: str,
        source: str,
        settings: TransformersSettings,
        revision: str | None = None,
        trust_remote_code: bool = False,
        manner: Manner = USUAL_MANNER,
    ) -> None:
        """Load a model from a directory or a hub id; ``model`` keys its noise.

        Raises:
            QiboxError: the model cannot be loaded; the message says why.
        """
        declare_missing_operators()
        import torch

        self.progress: Callable[[], None] = lambda: None
        self._id = model
        self._lock = threading.Lock()  # threads of a pipeline's worker share one engine
        self._settings = settings
        self._gpu = torch.cuda.is_available()
        where: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
        try:
            self._model, self._processor = self._load(source, where)
        except (OSError, ValueError, ImportError) as error:
            raise QiboxError(f"model '{model}' ({source}) cannot be loaded: {error}") from error
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._neutralise = Neutraliser.of_tokenizer(self._tokenizer)
        self._reading = keeping(self._tokenizer, manner.marks)
        self._manner = manner
        self._ends = self._take_ends()
        self._sequences = settings.batch_size or self._usual_batch()
        self._limit = self._context()

    def _load(self, source: str, where: dict[str, Any]) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        dtype = self._settings.dtype
        if dtype == "auto":
            dtype = "bfloat16" if self._gpu else "float32"
        placement = self._settings.device_map or ("cuda:0" if self._gpu else None)
        model = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=getattr(torch, dtype),
            device_map=placement,
            use_safetensors=True,
            attn_implementation=self._settings.attn_implementation,
            **where,
        )
        processor = AutoProcessor.from_pretrained(source, **where, **self._settings.processor)
        return model, processor

    def _usual_batch(self) -> int:
        if self._gpu:
            return SEQUENCES["gpu"]
        return SEQUENCES["tiny" if self._model.num_parameters() < TINY else "cpu"]

    def _context(self) -> int:
        """The most tokens of a prompt and its completion together."""
        text = self._model.config.get_text_config(decoder=True)
        own = int(getattr(text, "max_position_embeddings", 0) or 2**31)
        return min(own, self._settings.max_model_len or own)

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        """Complete each prompt ``sampling.samples`` times; see the module's head."""
        with self._lock:
            return self._generate(prompts.to_pylist(), sampling)

    def _generate(self, rows: list[dict[str, Any]], sampling: Sampling) -> pa.Table:
        keys = [row["key"] for row in rows]
        done: list[Sequence[Completion]] = [()] * len(rows)
        items = []
        for index, row in enumerate(rows):
            try:
                items.append(self._prepare(index, row))
            except (QiboxError, ValueError) as error:
                done[index] = [failure(str(error))] * sampling.samples
        self._measure(items)
        # Greedy completions of one prompt are all the same one.
        each = 1 if sampling.temperature == 0 else sampling.samples
        asked = sampling.model_copy(update={"samples": each})
        batcher = Batcher(max(1, self._sequences // each))
        for with_image in (True, False):
            some = [item for item in items if (item.image is not None) == with_image]
            some.sort(key=lambda item: (item.area, item.length, item.index))
            results = batcher.map(
                some,
                lambda batch: self._complete(batch, asked),
                lambda _, reason: [failure(reason)] * each,
            )
            for item, result in zip(some, results, strict=True):
                done[item.index] = list(result) * (sampling.samples // each)
        self._sequences = min(self._sequences, batcher.size * each)
        return assemble(keys, done)

    def close(self) -> None:
        """Drop the model and give its GPU memory back."""
        import gc

        import torch

        del self._model, self._processor
        gc.collect()
        if self._gpu:
            torch.cuda.empty_cache()

    def _prepare(self, index: int, row: dict[str, Any]) -> _Item:
        """Render one prompt's template."""
        image = sendable(row["image"])
        turns = messages(
            self._neutralise(row["text"]), row["system"], None if image is None else IMAGE_PART
        )
        text = self._processor.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, **self._manner.template_arguments
        )
        return _Item(index, row["key"], text, image, area=self._area(image))

    def _area(self, image: bytes | None) -> int:
        return min(_area(image), self._manner.max_pixels or MAX_PIXELS)

    def _measure(self, items: Sequence[_Item]) -> None:
        """Fill in each prompt's length in tokens."""
        if items:
            ids = self._tokenizer([item.text for item in items], add_special_tokens=False)
            for item, tokens in zip(items, ids["input_ids"], strict=True):
                item.length = len(tokens)

    def _complete(self, batch: Sequence[_Item], sampling: Sampling) -> list[Sequence[Completion]]:
        """Complete one batch; a prompt that cannot be read fails alone."""
        results: dict[int, Sequence[Completion]] = {}
        readable, images = [], []
        for item in batch:
            try:
                if item.length >= self._limit:
                    raise ImageError(self._too_long(item.length))
                images.append(None if item.image is None else self._decode(item.image))
                readable.append(item)
            except ImageError as error:
                results[item.index] = [failure(str(error))] * sampling.samples
        if readable:
            self._encode_and_write(readable, images, sampling, results)
        return [results[item.index] for item in batch]

    def _decode(self, image: bytes) -> Image.Image:
        return shrunk(decode_image(image), self._manner.max_pixels)

    def _encode_and_write(
        self,
        batch: Sequence[_Item],
        images: Sequence[Image.Image | None],
        sampling: Sampling,
        results: dict[int, Sequence[Completion]],
    ) -> None:
        inputs = self._encode(batch, images)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        fitting = [i for i, length in enumerate(lengths) if length < self._limit]
        for i, length in enumerate(lengths):
            if length >= self._limit:
                too_long = failure(self._too_long(length))
                results[batch[i].index] = [too_long] * sampling.samples
        if len(fitting) < len(batch):
            batch = [batch[i] for i in fitting]
            if batch:
                self._encode_and_write(batch, [images[i] for i in fitting], sampling, results)
            return
        texts = self._write(batch, inputs, lengths, sampling)
        for i, item in enumerate(batch):
            results[item.index] = texts[i * sampling.samples : (i + 1) * sampling.samples]

    def _encode(self, batch: Sequence[_Item], images: Sequence[Image.Image | None]) -> Any:
        texts = [item.text for item in batch]
        start = self._tokenizer.bos_token
        pictures = None if images[0] is None else [[image] for image in images]
        return self._processor(
            text=texts,
            images=pictures,
            padding=True,
            return_tensors="pt",
            # As apply_chat_template does: a template may write the start token itself.
            add_special_tokens=not (start and texts[0].startswith(start)),
        )

    def _write(
        self, batch: Sequence[_Item], inputs: Any, lengths: list[int], sampling: Sampling
    ) -> list[Completion]:
        import torch
        from transformers import GenerationConfig

        from qibox.engines.decoding import DecodingPlan, write

        device = self._model.device
        copies = sampling.samples
        budgets = [
            min(sampling.max_tokens, self._limit - n) for n in lengths for _ in range(copies)
        ]
        keys = row_keys(sampling.seed, self._id, [item.key for item in batch], copies)
        plan = DecodingPlan(
            copies=copies,
            keys=torch.tensor(keys, device=device),
            budgets=torch.tensor(budgets, device=device),
            ends=torch.tensor(self._ends, device=device),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            progress=self.progress,
        )
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=max(budgets),
            eos_token_id=self._ends,
            pad_token_id=self._tokenizer.pad_token_id,
            use_cache=True,
        )
        moved = inputs.to(device, dtype=self._model.dtype)  # casts the floating tensors only
        with torch.inference_mode():
            written = self._model.generate(
                **moved, generation_config=config, custom_generate=write, plan=plan
            )
        texts = (
            self._tokenizer.batch_decode(
                written.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            if self._reading is None
            else map(self._reading, written.tokens)
        )
        return [
            completed(text, "stop" if stopped else "length", len(tokens))
            for text, tokens, stopped in zip(texts, written.tokens, written.stopped, strict=True)
        ]

    def _take_ends(self) -> list[int]:
        """The tokens that end a completion: the model's and the tokenizer's."""
        from transformers import GenerationConfig

        own = self._model.generation_config.eos_token_id
        ends = {self._tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])}
        # The model's other defaults (penalties, top-k) would steer sampling unseen by the panel.
        self._model.generation_config = GenerationConfig()
        return sorted(end for end in ends if end is not None)

    def _too_long(self, length: int) -> str:
        return f"prompt has {length} tokens, the model's limit is {self._limit}"


IMAGE_PART: dict[str, Any] = {"type": "image"}


def _area(image: bytes | None) -> int:
    """Pixels, by the image's own declaration; 0 if it cannot be read."""
    if image is None:
        return 0
    try:
        with Image.open(io.BytesIO(image)) as opened:
            return opened.width * opened.height
    except Exception:  # the decoder will say what is wrong with it
        return 0
