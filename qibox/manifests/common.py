"""What all manifests share: frozen, unknown fields refused, a name, a word on its source.

Every field says what it is there for (:mod:`qibox.fields`); a test refuses one that does not.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from qibox.fields import Prose

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


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
