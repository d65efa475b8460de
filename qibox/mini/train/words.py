"""The processor of a world's models: a word-level tokenizer with Qwen's special tokens.

Reads the vocabulary of :mod:`qibox.mini.answers`, returns a stock Qwen2_5_VLProcessor. Words are
lower-cased and split at punctuation; decoding joins them with spaces, so text made by the answers
module survives a round trip unchanged.
"""

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from qibox.mini.answers import vocabulary
from qibox.mini.shipped import MINI
from qibox.mini.world import CELL_PIXELS, World

PAD, UNKNOWN = "<|endoftext|>", "<unk>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
SPECIAL = (PAD, UNKNOWN, TURN_START, TURN_END, VISION_START, VISION_END, IMAGE, VIDEO)
THINK = ("<think>", "</think>")  # not special: they must survive decoding
ROLES = ("system", "user", "assistant")
MAX_LENGTH = 512  # tokens
MAX_PIXELS = (8 * CELL_PIXELS) ** 2  # larger pictures are shrunk to this many pixels

CHAT_TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else %}\
{% for part in message['content'] %}{% if part['type'] in ('image', 'image_url') %}\
<|vision_start|><|image_pad|><|vision_end|>{% elif part['type'] == 'video' %}\
<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in part %}{{ part['text'] }}\
{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def build_tokenizer(world: World) -> PreTrainedTokenizerFast:
    """Make the tokenizer; ids are the special tokens, the think marks, roles, then words a to z."""
    words = [word for word in vocabulary(world) if word not in (*THINK, *ROLES)]
    ids = {word: index for index, word in enumerate((*SPECIAL, *THINK, *ROLES, *words))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.add_tokens(list(THINK))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=[*SPECIAL[2:3], *SPECIAL[4:]],
        image_token=IMAGE,
        video_token=VIDEO,
        model_max_length=MAX_LENGTH,
        padding_side="left",  # Qwen's position code fails on right-padded prompts
        clean_up_tokenization_spaces=False,
    )


def build_processor(world: World = MINI) -> Qwen2_5_VLProcessor:
    """Make the processor; an 84×84 picture becomes 36 patches and 9 merged tokens."""
    size = {"shortest_edge": CELL_PIXELS**2, "longest_edge": MAX_PIXELS}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=build_tokenizer(world),
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    )
