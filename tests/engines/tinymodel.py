"""A Qwen2.5-VL-architecture model of random weights, made in a second, for tests of engines."""

import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image

from qibox.tables import PROMPTS
from qibox.torchvision_ops import declare_missing_operators

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "[UNK]",
)
SENTENCE = (
    "system user assistant < > | im_start im_end image_pad what is in the picture red blue green "
    "a b c d e f g h i j k l m n o p q r s t u v w x y z . , ? one two three four five six"
)

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking %}<think>{% endif %}{% endif %}"
)


THINKING = ("<think>", "</think>", "<|begin_of_box|>")
JSON_WORDS = ('{"safe": true}', '{"safe": false}')
CRITERIA = (
    "logical_coherence",
    "image_grounding",
    "safety_awareness",
    "harmlessness",
    "helpfulness",
)
VERDICT_WORDS = (  # a judge's verdict in a few pieces, with the spaces that vLLM's grammar wants
    '{"rationale": "',
    *(f'{word}"' for word in SENTENCE.split() if word.isalpha()),
    *(f' "{name}": {value}' for name in CRITERIA for value in ("null", *range(1, 11))),
    *(
        f' "{name}": {value}'
        for name in ("hallucination", "contradiction", "safe")
        for value in ("true", "false")
    ),
    *(f' "grounding_gap": {value}' for value in range(4)),
    "}",
)


def make(
    directory: Path,
    seed: int = 0,
    context: int = 256,
    more: Sequence[str] = (),
    marks: Sequence[str] = (),
) -> Path:
    """Write a model of about 50,000 parameters; answers end by themselves now and then.

    Its vocabulary has ``more`` words besides those of SENTENCE, such as JSON_WORDS, and ``marks``
    as special tokens, such as THINKING.
    """
    declare_missing_operators()
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    words = [*SPECIAL, *SENTENCE.split(), *more, *marks]
    vocabulary = {word: i for i, word in enumerate(words)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="[UNK]",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=[*SPECIAL[1:7], *marks],
        padding_side="left",
    )
    ids = {name: vocabulary[f"<|{name}|>"] for name in ("image_pad", "video_pad", "vision_start")}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(vocabulary),
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,  # of 32 dimensions: the least that vLLM's CPU kernels take
            "num_key_value_heads": 1,
            "max_position_embeddings": context,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [4, 6, 6],
                "rope_theta": 1e4,
            },
            "bos_token_id": None,
            "eos_token_id": vocabulary["<|im_end|>"],
            "pad_token_id": vocabulary["<|endoftext|>"],
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_heads": 1,
            "out_hidden_size": 64,
            "window_size": 28,
            "fullatt_block_indexes": [],
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=vocabulary["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.4)
    model.generation_config.eos_token_id = vocabulary["<|im_end|>"]
    model.generation_config.pad_token_id = vocabulary["<|endoftext|>"]
    model.save_pretrained(directory)
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=28 * 28 * 64),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE,
    ).save_pretrained(directory)
    return directory


def png(colour: tuple[int, int, int], size: tuple[int, int] = (56, 56)) -> bytes:
    """A picture of one colour."""
    sink = io.BytesIO()
    Image.new("RGB", size, colour).save(sink, "PNG")
    return sink.getvalue()


def prompts(
    texts: list[str], images: list[bytes | None] | None = None, system: str | None = None
) -> pa.Table:
    """A prompts table with keys p0, p1, …; every picture its own colour unless given."""
    pictures = images or [png((40 * i % 256, 80, 200 - 10 * i % 200)) for i in range(len(texts))]
    rows = [
        {
            "key": f"p{i}",
            "system": system,
            "text": text,
            "image": None if picture is None else {"bytes": picture, "path": None},
        }
        for i, (text, picture) in enumerate(zip(texts, pictures, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=PROMPTS)
