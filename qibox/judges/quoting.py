"""Show a judge what others wrote, so that nothing in it can act: it is data between two marks.

Three walls, each enough against most forgeries: control tokens of chat templates are broken, so no
tokenizer reads one in quoted text; the marks around it carry a code that no quoted text can hold,
because it is broken there as a control token is; and a verdict is only ever parsed from the judge's
own completion (:mod:`qibox.judges.asking`), never from a prompt.

The code is made of judge and sample, not of the text, so that all prompts on a sample begin alike
and an engine's prefix cache reads their common part once.
"""

import hashlib
import re
import unicodedata

# Every chat template's tokens stand in angle brackets or are one bracketed word: <|im_end|>, </s>,
# <image>, [INST]. The wide forms fold into these in tokenizers that normalise.
_ANGLES = str.maketrans("<>＜＞﹤﹥［］", "‹›‹›‹›⟦⟧")
_BRACKETED_WORD = re.compile(r"\[(/?\w+)\]")
_BOXED = re.compile(r"\\(?=boxed)")
_FIELD = re.compile(r"\{(\w+)\}")


def neutralise(text: str) -> str:
    r"""Break what could act: chat-template tokens, ``\boxed`` and control characters.

    Angle brackets become ‹ ›, a bracketed word ⟦word⟧, the backslash of ``\boxed`` a ∖; the rest
    stays as written.
    """
    text = _BRACKETED_WORD.sub(r"⟦\1⟧", text.translate(_ANGLES))
    text = _BOXED.sub("∖", text)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def mark(*parts: str) -> str:
    """A code of 16 hex digits that is fixed by its parts: judge and sample for quotations."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def quote(label: str, text: str, code: str) -> str:
    """Put a text, neutralised, between two lines that name it and carry the code.

    Where the text holds the code itself, in whatever case or width, that is broken by a space.
    """
    calm = _without(code, neutralise(text))
    return f"--- BEGIN {label} {code} ---\n{calm}\n--- END {label} {code} ---"


def _without(code: str, text: str) -> str:
    held = re.compile(re.escape(code), re.IGNORECASE)
    plain = unicodedata.normalize("NFKC", text)  # as tokenizers that normalise would read it
    if not held.search(plain):
        return text
    while held.search(plain):  # breaking one may uncover another that overlapped it
        plain = held.sub(lambda found: f"{found[0][0]} {found[0][1:]}", plain)
    return neutralise(plain)


def prelude(code: str, question: str) -> str:
    """What stands in the user's turn between the picture and what is rated; equal on a sample."""
    return f"The code of the quotations is {code}.\n\n{quote('QUESTION', question, code)}"


def fill(template: str, values: dict[str, str]) -> str:
    """Replace each ``{field}`` of ``values`` in one pass: what is filled in is not read again."""
    return _FIELD.sub(lambda match: values.get(match[1], match[0]), template)


def text_key(sample_id: str, *texts: str) -> str:
    """What a judgment's sampling noise is keyed by: the sample and the texts, nothing else."""
    return "/".join([sample_id, *(mark(text) for text in texts)])


QUOTED = {"question": "the question", "response": "the response"}
QUOTED |= {"response_1": "Response 1", "response_2": "Response 2"}


def system_turn(system: str | None, rubric: str, form: str, values: dict[str, str]) -> str:
    """A judge's system turn: what its manifest says first, the rubric, the form of the reply.

    It is the same for every sample. ``{question}`` and ``{response}`` in a rubric stand for what
    follows in the user's turn; ``values`` fill in the form.
    """
    turn = fill(rubric, QUOTED) + fill(form, values)
    return turn if system is None else f"{system}\n\n{turn}"
