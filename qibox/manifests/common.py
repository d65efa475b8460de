"""What all manifests share: frozen, unknown fields refused, a name, a word on its source.

Every field says what it is there for (:mod:`qibox.fields`); a test refuses one that does not.
"""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from qibox.errors import UsageError
from qibox.fields import Prose

NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
LONGEST_NAME = 100  # characters; file systems take 255 bytes, and some is put around a name

Identifier = Annotated[str, Field(pattern=rf"^{NAME}$", max_length=LONGEST_NAME)]


def is_name(text: str) -> bool:
    """Whether a text may name a selection, a policy or a manifest."""
    return re.fullmatch(NAME, text) is not None and len(text) <= LONGEST_NAME


def check_name(text: str, what: str) -> str:
    """The text, where it may name ``what``.

    Raises:
        UsageError: it may not.
    """
    if not is_name(text):
        shown = text if len(text) <= LONGEST_NAME else f"{text[:20]}… of {len(text)} characters"
        raise UsageError(
            f"'{shown}' is not a name for {what}: use lower-case letters, digits and single "
            f"hyphens, at most {LONGEST_NAME} characters",
            fields=["name"],
        )
    return text


def as_name(source: str, otherwise: str = "policy") -> str:
    """A name, fit for a directory, made of a place or an id; ``otherwise`` if nothing is left."""
    words = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")
    return words or otherwise


class Checked(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Manifest(Checked):
    """The head of every manifest."""

    name: Prose[Identifier]
    about: Prose[str]  # one sentence for `qibox manifests`
    source: Prose[str] = ""  # where the values are from; "our choice" where nothing is published
    sources: Prose[dict[str, str]] = {}  # where single values are from, by field
    unverified: Prose[tuple[str, ...]] = ()  # fields that could not be checked against their source
