"""The frame of a selection: which share of its size each stratum is to have.

Columns are nested in the order in which they are named: a column's shares are taken within each
stratum of the columns before it. A column's quota is a rule, or a percentage for each of its
values; values without one get nothing.

- ``proportional``: as the samples of the pool (the default of a column without a quota)
- ``sqrt``: as the square root of the pool's samples, so that small strata count for more
- ``equal``: the same to each value that the pool has there

Where the pool does not know kinds of risk, ``risky`` stands for them: yes where any answer of the
panel that counts was judged unsafe, no where none was. Columns joined by a plus are one column of
pairs (or more), so that percentages may be given to each: ``risk+severity`` has ``implicit+3``.

>>> make_frame("risk,category", ["risk: implicit=50% explicit=25% none=25%", "category: sqrt"])
>>> make_frame("risk+severity", ["risk+severity: implicit+3=60% none+unknown=40%"])
"""

import re
import shlex
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator

from qibox.errors import UsageError
from qibox.manifests.common import Checked

Rule = Literal["proportional", "equal", "sqrt"]
Percent = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Quota = Rule | dict[str, Percent]

COLUMNS = ("risk", "category", "source", "severity", "risky")
RULES: tuple[Rule, ...] = get_args(Rule)
DEFAULT_RULE: Rule = "proportional"


def check_column(name: str) -> str:
    """Return the name of a column, or of several joined by a plus.

    Raises:
        ValueError: there is no such column, or one is joined to itself.
    """
    parts = name.split("+")
    unknown = [part for part in parts if part not in COLUMNS]
    if unknown or len(set(parts)) < len(parts):
        raise ValueError(
            f"no strata by '{name}': columns are {', '.join(COLUMNS)}, and any of them joined by +"
        )
    return name


Column = Annotated[str, AfterValidator(check_column)]

_SHARE = re.compile(r"(?s)(?P<value>.*)=(?P<percent>\d{1,3}(\.\d+)?)%")


class Frame(Checked):
    """Columns, outermost first, and the quota of each."""

    stratify: Annotated[tuple[Column, ...], Field(min_length=1)]
    quota: dict[Column, Quota] = {}  # a column without one: DEFAULT_RULE

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        twice = [name for name in self.stratify if self.stratify.count(name) > 1]
        if twice:
            raise ValueError(f"the strata name '{twice[0]}' twice: name each column once")
        for column, quota in self.quota.items():
            if column not in self.stratify:
                raise ValueError(
                    f"there is a quota on {column}, but the strata are by "
                    f"{', '.join(self.stratify)}: stratify by {column} too, or leave its quota out"
                )
            total = sum(map(exact, quota.values())) if isinstance(quota, dict) else 100
            if total != 100:
                raise ValueError(
                    f"the percentages on {column} come to {float(total):.15g}%: make them come "
                    "to 100%"
                )
        return self

    def quotas(self) -> dict[Column, Quota]:
        """The quota of every column, outermost first."""
        return {column: self.quota.get(column, DEFAULT_RULE) for column in self.stratify}


def exact(percent: float) -> Fraction:
    """The decimal number that was written, exactly: 33.3 is 333/10."""
    return Fraction(repr(percent))


def make_frame(stratify: str, quotas: Sequence[str] = ()) -> Frame:
    """Read a frame from text: columns by comma, and one text a quota.

    A quota is ``COLUMN: RULE``, ``COLUMN: VALUE=PERCENT% …``, or a rule alone, which holds for all
    columns without one of their own. A value with spaces is quoted: ``'a value'=50%``.

    Raises:
        UsageError: an unknown column, rule or form, a column twice, or percentages that do not come
            to 100.
    """
    columns = [_column(name, "stratify") for name in stratify.split(",")]
    given: dict[Column, Quota] = {}
    general: Rule | None = None
    for text in quotas:
        name, colon, shares = text.partition(":")
        if not colon:
            if general is not None:
                raise UsageError(
                    f"quotas '{general}' and '{text}' are both for all columns: write COLUMN: RULE",
                    fields=["quota"],
                )
            general = _rule(text)
            continue
        column = _column(name, "quota")
        if column in given:
            raise UsageError(f"{column} has two quotas: give it one", fields=["quota"])
        given[column] = _quota(column, shares)
    if general is not None:
        given = {**dict.fromkeys(columns, general), **given}
    try:
        return Frame(stratify=tuple(columns), quota=given)
    except ValidationError as error:
        sentence = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(sentence, fields=["stratify", "quota"]) from error


def quota_text(column: Column, quota: Quota) -> str:
    """Write a quota as :func:`make_frame` reads it."""
    if isinstance(quota, str):
        return f"{column}: {quota}"
    shares = (f"{_quoted(value)}={percent:.15g}%" for value, percent in quota.items())
    return f"{column}: {' '.join(shares)}"


def _quoted(value: str) -> str:
    return shlex.quote(value) if value else "''"


def _column(text: str, field: str) -> Column:
    try:
        return check_column(text.strip())
    except ValueError as error:
        raise UsageError(str(error), fields=[field]) from error


def _rule(text: str) -> Rule:
    name = text.strip()
    for rule in RULES:
        if name == rule:
            return rule
    raise UsageError(
        f"quota '{name}' is no rule: rules are {', '.join(RULES)}, and percentages are written "
        "COLUMN: VALUE=50% VALUE=50%",
        fields=["quota"],
    )


def _quota(column: Column, text: str) -> Quota:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"quota on {column}: '{text.strip()}' has a quotation mark too few: close it",
            fields=["quota"],
        ) from error
    if len(words) == 1 and "=" not in words[0]:
        return _rule(words[0])
    shares: dict[str, float] = {}
    for word in words:
        found = _SHARE.fullmatch(word)
        if not found:
            raise UsageError(
                f"quota on {column}: '{word}' is no share: write VALUE=50%, and quote a value "
                "that has spaces",
                fields=["quota"],
            )
        if found["value"] in shares:
            raise UsageError(
                f"quota on {column} names '{found['value']}' twice: give it one share",
                fields=["quota"],
            )
        shares[found["value"]] = float(found["percent"])
    if not shares:
        raise UsageError(
            f"quota on {column} is empty: give {', '.join(RULES)} or VALUE=50% …", fields=["quota"]
        )
    return shares
