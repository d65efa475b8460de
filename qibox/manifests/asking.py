"""How a model is asked beside the question, and how it shows in its words what it thought."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from qibox.fields import Deciding
from qibox.manifests.common import Checked

QUESTION = "{question}"

Mark = Annotated[str, Field(min_length=1)]

# What engines say to a chat template themselves.
OURS = {
    "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "messages",
    "padding", "return_dict", "return_tensors", "tokenize", "truncation",
}  # fmt: skip


def _with_question(template: str) -> str:
    if QUESTION not in template:
        raise ValueError(f"prompt must contain {QUESTION}")
    return template


def _not_ours(arguments: dict[str, Any]) -> dict[str, Any]:
    for name in arguments:
        if name in OURS:
            raise ValueError(f"'{name}' is said to the chat template by the engine: leave it out")
    return arguments


Template = Annotated[str, AfterValidator(_with_question)]
# e.g. enable_thinking: true, as the model's own chat template knows it
TemplateArguments = Annotated[dict[str, Any], AfterValidator(_not_ours)]


class Marks(Checked):
    """Where in a model's text its reasoning stands, and where its answer.

    Marks that are special tokens of the tokenizer are kept in the text, which other special tokens
    are not.
    """

    open: Deciding[Mark] = "<think>"  # opens the text
    close: Deciding[Mark] = "</think>"
    opened: Deciding[bool] = False  # the chat template writes the opening mark at the prompt's end
    # around the answer, behind the reasoning; null: all that follows is the answer
    answer_open: Deciding[Mark | None] = None
    answer_close: Deciding[Mark | None] = None
    # left out of the answer, such as what frames a final value
    drop: Deciding[tuple[Mark, ...]] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every one of them."""
        around = (self.open, self.close, self.answer_open, self.answer_close, *self.drop)
        return tuple(mark for mark in around if mark is not None)


@dataclass(frozen=True)
class Manner:
    """What an engine is to know of how one model is asked and read."""

    template_arguments: dict[str, Any] = field(default_factory=dict)  # for its chat template
    marks: tuple[str, ...] = ()  # stay in its text though they be special tokens
    max_pixels: int | None = None  # larger pictures are shrunk


USUAL_MANNER = Manner()
