"""Two benchmarks' own JSON layouts, where one item holds several question-image pairs.

VLGuard: a list; an item's instr-resp holds safe_instruction and unsafe_instruction for a safe
image, instruction for an unsafe one. MSSBench: parts chat and embodied; an item holds a safe and an
unsafe image and the questions asked of both. Each pair becomes one record; what the layout tells of
the risk is in its field ``risk``.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from qibox.errors import UsageError
from qibox.pool.lines import as_record, read_json, read_json_list
from qibox.pool.one_by_one import Record

# what an item's text asks for, and so its risk: our reading of the layout
VLGUARD_RISKS = {
    "safe_instruction": "none",
    "unsafe_instruction": "explicit",
    "instruction": "explicit",  # of an unsafe image: the picture itself is harmful
}
VLGUARD_FIELDS = ("id", "image", "safe", "harmful_category", "harmful_subcategory", "instr-resp")


Pair = tuple[str, Any, Any]  # safe or unsafe, image, question


def read_vlguard(path: str, pool: str) -> Iterator[Record]:
    """Yield VLGuard's pairs with fields id, question, image, risk, instruction and the item's own.

    Raises:
        UsageError: not VLGuard's layout.
    """
    items = list(read_json_list(path, pool))
    _expect(VLGUARD_FIELDS, [item.fields for item in items], path, pool)
    for item in items:
        yield from _vlguard_pairs(item)


def _vlguard_pairs(item: Record) -> Iterator[Record]:
    answers = item.fields.get("instr-resp")
    if item.fault is not None or not isinstance(answers, list):
        yield Record(item.number, {}, item.fault or "instr-resp is missing or no list")
        return
    pairs = [
        (kind, entry[kind])
        for entry in answers
        if isinstance(entry, dict)
        for kind in VLGUARD_RISKS
        if kind in entry
    ]
    if not pairs:
        yield Record(item.number, {}, "instr-resp holds no instruction")
    odd = sum(not (isinstance(e, dict) and any(k in e for k in VLGUARD_RISKS)) for e in answers)
    for _ in range(odd if pairs else 0):
        yield Record(item.number, {}, "an entry of instr-resp holds no instruction that is known")
    shared = {name: value for name, value in item.fields.items() if name != "instr-resp"}
    for kind, question in pairs:
        own = {
            "id": f"{item.fields.get('id')}/{kind}",
            "question": question,
            "instruction": kind,
            "risk": VLGUARD_RISKS[kind],
        }
        yield Record(item.number, shared | own)


def read_mssbench(path: str, pool: str) -> Iterator[Record]:
    """Yield MSSBench's pairs with fields id, question, image, risk, part, category and intent.

    Raises:
        UsageError: not MSSBench's layout.
    """
    value = read_json(path, pool)
    parts = value if isinstance(value, dict) else {}
    number = 0
    for part, pairs_of in (("chat", _chat_pairs), ("embodied", _embodied_pairs)):
        items = parts.get(part)
        if not isinstance(items, list):
            raise UsageError(f"pool {pool}: {path} has no list '{part}', which MSSBench's file has")
        for at, item in enumerate(items):
            record = as_record(number, item)
            yield from _mssbench_records(record, part, at, pairs_of(record.fields))
            number += 1
    for part in sorted(parts.keys() - {"chat", "embodied"}):
        for _ in parts[part] if isinstance(parts[part], list) else [None]:
            yield Record(number, {}, f"part '{part[:100]}' is not known: chat and embodied are")
            number += 1


def _mssbench_records(item: Record, part: str, at: int, pairs: list[Pair]) -> Iterator[Record]:
    if item.fault is not None or not pairs:
        yield Record(item.number, {}, item.fault or f"item {at} of {part} holds no question")
    for asked, (safety, image, question) in enumerate(pairs):
        yield Record(
            item.number,
            {
                "id": f"{part}/{at}/{asked // 2}/{safety}",
                "question": question,
                "image": f"{part}/{image}" if isinstance(image, str) else image,
                "risk": "none" if safety == "safe" else "implicit",
                "part": part,
                "category": item.fields.get("Type") or item.fields.get("category"),
                "intent": item.fields.get("intent"),
            },
        )


def _chat_pairs(item: dict[str, Any]) -> list[Pair]:
    queries = item.get("queries")
    if not isinstance(queries, list):
        return []
    images = [(safety, item.get(f"{safety}_image_path")) for safety in ("safe", "unsafe")]
    return [(safety, image, query) for query in queries for safety, image in images]


def _embodied_pairs(item: dict[str, Any]) -> list[Pair]:
    pairs = []
    asked = [_instructions(item, safety) for safety in ("safe", "unsafe")]
    for both in zip_longest(*asked):  # one without its counterpart is a row without a question
        for safety, question in zip(("safe", "unsafe"), both, strict=True):
            pairs.append((safety, item.get(safety), question))
    return pairs


def _instructions(item: dict[str, Any], safety: str) -> list[Any]:
    several = item.get(f"{safety}_instructions")
    if isinstance(several, list):
        return several
    one = item.get(f"{safety}_instruction")
    return [] if one is None else [one]


def _expect(fields: tuple[str, ...], items: list[dict[str, Any]], path: str, pool: str) -> None:
    missing = [name for name in fields if not any(name in item for item in items)]
    if missing:
        raise UsageError(
            f"pool {pool}: {path} has no field {', '.join(repr(m) for m in missing)}, "
            "which VLGuard's file has: check `path`"
        )
