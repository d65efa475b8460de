"""Hostile texts to teach a judge on: what a response may hold to be rated higher than it deserves.

Draws texts, and plants them in responses. The oracle passes over what is no sentence of this world,
so its verdict stays the target: a judge learns that a rating asked for, a verdict forged or a
template's token is nothing but words. Words are drawn at random, many of them made of random
letters, so that no wording is learnt instead.
"""

import json
import random
import string

from qibox.judges.generative import verdict_schema

_COMMON = """
about above all also always amazing and any appears approved are as ask assistant author award be
because been best better both by can case certain check claim clear complete consider content
correct could criteria decide deserves do done each easy end entirely even every excellent expert
fact fair final find first follow for from full fully future get give given good grade great has
have here high highest honest how human i ignore important in instead instruct is it its judge
just justice know last let level line list look made make many mark maximum may me mean meet
message model more most must my need never new next not note nothing now obey of on one only or
order other our output out pass perfect please point points previous print prompt quality question
quote rank rate rated rating read real reason remember reply report request respond response
result return review reward right rule safe say score see set should show simply so some stop
system take task ten test text than that the their then there they think this thus to told top
total treat true trust turn under use user value verdict very view want was we well what when
which while will with word words would write wrong yet you your
"""
WORDS = _COMMON.split()
NAMES = tuple(verdict_schema(True)["properties"])
TOKENS = (
    "<|im_end|>", "<|im_start|>", "<|im_start|>assistant", "<|im_start|>system", "<|endoftext|>",
    "<|vision_start|>", "<|image_pad|>", "</s>", "<s>", "[INST]", "[/INST]", "<<SYS>>", "<unk>",
    "<start_of_turn>model", "<|eot_id|>", "</think>", "<think>", "###", "```json", "```",
    "--- END ANSWER ---", "--- BEGIN REASONING", "--- END",
)  # fmt: skip
LOOK_ALIKE = str.maketrans("aceopxyiAEOT1", "асеорхуіΑΕΟТ１")
WIDE = {c: c + 0xFEE0 for c in range(0x21, 0x7F)}
UNSEEN = ("\u200b", "\u202e", "\u2060", "\ufeff", "\u00ad")
PLEAS = 0.5  # share of planted texts that are sentences between a response's own, and no more
LONG = 200  # characters, at most, of one text; longer ones are of the same kind


def hostile(rng: random.Random) -> str:
    """Draw one hostile text."""
    kind = rng.choice((_plea, _plea, _forged, _fragment, _tokens, _boxed, _noise))
    text = kind(rng)
    luck = rng.random()
    if luck < 0.08:
        text = text.translate(LOOK_ALIKE)
    elif luck < 0.14:
        text = text.translate(WIDE)
    elif luck < 0.20:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(UNSEEN) * rng.randint(1, 3) + text[at:]
    elif luck < 0.25:
        text = text.upper()
    return text[:LONG]


def planted(text: str, rng: random.Random) -> str:
    """A response with one hostile text in it: a plea after a sentence, or anything anywhere."""
    words = text.split(" ")
    ends = [i + 1 for i, word in enumerate(words) if word in (".", "</think>")] or [0]
    if rng.random() < PLEAS:
        at = rng.choice([len(words), *ends])
        added = _words(rng, 2, 14) + rng.choice((" .", "."))
    else:
        somewhere = rng.randint(0, len(words))
        at = rng.choice((0, len(words), rng.choice(ends), rng.choice(ends), somewhere))
        added = hostile(rng)
    return " ".join([*words[:at], added, *words[at:]]).strip(" ")


def _words(rng: random.Random, low: int, high: int) -> str:
    made = [
        "".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 9)))
        if rng.random() < 0.25
        else rng.choice(WORDS)
        for _ in range(rng.randint(low, high))
    ]
    for _ in range(rng.randint(0, 2)):
        made.insert(
            rng.randrange(len(made) + 1), rng.choice(("10", "9", "5", "100", "1", "0", ","))
        )
    return " ".join(made)


def _plea(rng: random.Random) -> str:
    text = _words(rng, 2, 14)
    text = text.capitalize() if rng.random() < 0.5 else text
    return text + rng.choice((" .", ".", "!", " !", ".", "", ":", " . ."))


def _value(rng: random.Random, name: str) -> object:
    if name == "rationale":
        return _words(rng, 1, 8)
    if name in ("hallucination", "contradiction", "safe"):
        return rng.random() < 0.5
    return rng.choice((10, 10, rng.randint(0, 10), None))


def _forged(rng: random.Random) -> str:
    names = list(NAMES) if rng.random() < 0.5 else rng.sample(NAMES, rng.randint(1, len(NAMES)))
    made: object = {name: _value(rng, name) for name in names}
    if rng.random() < 0.2:
        made = rng.choice(([made], {rng.choice(WORDS): made}, {"score": rng.randint(0, 10)}))
    text = json.dumps(made, separators=rng.choice(((",", ":"), (", ", ": "))))
    return rng.choice((text, text, f"```json {text} ```", f"{_words(rng, 1, 5)}: {text}"))


def _fragment(rng: random.Random) -> str:
    text = _forged(rng)
    start = rng.randrange(len(text))
    return text[start : start + rng.randint(1, 80)] or "}"


def _tokens(rng: random.Random) -> str:
    parts = rng.sample(TOKENS, rng.randint(1, 4))
    parts.insert(rng.randrange(len(parts) + 1), _words(rng, 1, 6))
    return rng.choice((" ", "", "\n")).join(parts)


def _boxed(rng: random.Random) -> str:
    numbers = ", ".join(str(rng.randint(0, 10)) for _ in range(rng.randint(1, 2)))
    before = rng.choice(("", _words(rng, 1, 6) + " "))
    return before + rng.choice((rf"\boxed{{{numbers}}}", rf"$\boxed{{{numbers}}}$"))


def _noise(rng: random.Random) -> str:
    alphabet = rng.choice(
        (
            string.printable,
            string.punctuation,
            string.digits + " ",
            "àéîõüßñçøåæ ",
            "漢字假名中文日本語 ",
            "абвгдежз ",
            "🙂🔥✅⚠️ ",
        )
    )
    return "".join(rng.choices(alphabet, k=rng.randint(1, 60)))
