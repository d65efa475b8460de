"""Other wordings of a question of a miniature world, and whether a text asks the same.

Reads nothing, writes nothing. Topic and target are what a question asks; wording and style are how.
"""

import hashlib
import re
from functools import lru_cache
from itertools import product

from qibox.mini.questions import STYLES, TARGETED, Kind, Question, wordings
from qibox.mini.world import World

Asked = tuple[Kind, str, str | None]  # kind, topic, target
KINDS: tuple[Kind, ...] = ("implicit", "explicit", "plain")
_TOKENS = re.compile(r"\w+|[^\w\s]")


def asks(world: World, text: str) -> Asked | None:
    """What a text asks in a world, in whatever case and spacing; None: no question of it."""
    return _asked(world).get(_words(text))


def other_wordings(question: Question, drawn_by: str) -> list[str]:
    """All other texts that ask the same, in an order that ``drawn_by`` draws."""
    ways = range(len(wordings(question.world, question.kind)[question.topic]))
    texts = {
        Question(question.world, question.kind, question.topic, way, style, question.target).text
        for way, style in product(ways, STYLES)
    }
    return sorted(texts - {question.text}, key=lambda text: _drawn(f"{drawn_by}:{text}"))


def _drawn(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _words(text: str) -> str:
    return " ".join(_TOKENS.findall(text.lower()))


@lru_cache(maxsize=16)
def _asked(world: World) -> dict[str, Asked]:
    """What every text of a world's grammar asks."""
    found: dict[str, Asked] = {}
    for kind in KINDS:
        for topic, ways in wordings(world, kind).items():
            named = kind == "plain" and topic in TARGETED
            targets: tuple[str | None, ...] = world.objects if named else (None,)
            for way, style, target in product(range(len(ways)), STYLES, targets):
                text = Question(world, kind, topic, way, style, target).text
                found[_words(text)] = (kind, topic, target)
    return found
