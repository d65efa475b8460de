"""The processor of the small judges: a byte-level BPE, trained here, with Qwen's special tokens.

Reads papers, returns a stock Qwen2_5_VLProcessor. Every text decodes to itself, JSON included, and
no text is unknown. Codes, numbers and a JSON object's names are pieces of their own, so a rating is
always one token and a verdict has as many tokens as it has values and words, and a few more.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from qibox.mini.train.words import (
    CHAT_TEMPLATE,
    IMAGE,
    MAX_PIXELS,
    PAD,
    TURN_END,
    TURN_START,
    VIDEO,
    VISION_END,
    VISION_START,
)
from qibox.mini.world import CELL_PIXELS
from qibox.mini_judges.papers import Paper

SPECIAL = (PAD, TURN_START, TURN_END, VISION_START, VISION_END, IMAGE, VIDEO)
MAX_LENGTH = 1024  # tokens of a prompt and its verdict; longer responses are told to be too long
PIECES = Regex(
    r"[0-9a-f]{16}"  # a quotation's code
    r"|[^\w\s]*\"\w+\"[^\w\s]*"  # a name in JSON, with the marks around it
    r"|\d{1,2}"
    r"| ?[^\W\d]+"
    r"| ?[^\w\s]+"
    r"|\s+"
)


def build_tokenizer(papers: Iterable[Paper], size: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer of at most ``size`` tokens on what a judge reads and writes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(PIECES, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (text for paper in papers for text in (paper.system, paper.prompt, paper.verdict))
    tokenizer.train_from_iterator((text for text in texts if text), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=[TURN_START, *SPECIAL[3:]],
        image_token=IMAGE,
        video_token=VIDEO,
        model_max_length=10**9,  # the engine refuses what is too long, and says so
        padding_side="left",  # Qwen's position code fails on right-padded prompts
        clean_up_tokenization_spaces=False,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLProcessor:
    """Make the processor; an 84×84 picture becomes 9 merged tokens, as in the panel's models."""
    size = {"shortest_edge": CELL_PIXELS**2, "longest_edge": MAX_PIXELS}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    )
