"""What was said before the first training: hypotheses, rule, replicates, exclusions, analysis.

Written into the comparison's folder with the resolved plan and a hash over both; the report then
says whether what was run is what was registered.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from qibox.comparison.design import comparison_path
from qibox.errors import UsageError
from qibox.fields import changed
from qibox.manifests.common import Checked
from qibox.manifests.comparison import ComparisonManifest
from qibox.manifests.load import describe
from qibox.run.storage import Storage
from qibox.run.units import digest

FILE = "registration.yaml"
Said = Annotated[str, Field(min_length=1)]


class Statement(Checked):
    """What a person registers, in words."""

    hypotheses: Annotated[tuple[Said, ...], Field(min_length=1)]
    rule: Said  # when a hypothesis counts as shown
    replicates: Annotated[int, Field(ge=1)]  # of each arm, over all worlds
    exclusions: Said  # which replicates or samples are left out, and why; "none"
    analysis: Said


@dataclass(frozen=True)
class Registered:
    """A registration beside the plan as it is now."""

    digest: str  # of plan and statement
    time: str
    changed: list[str]  # dotted names of what the plan has otherwise now

    @property
    def matches(self) -> bool:
        """Whether what is run is what was registered."""
        return not self.changed


def read_statement(path: str) -> Statement:
    """Read what a person wants to register.

    Raises:
        UsageError: it cannot be read, or lacks a part.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return Statement.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"registration {path} cannot be read as YAML: {error}") from error
    except ValidationError as error:
        raise UsageError(f"registration {path}: {describe(error, Statement)}") from error


def register(
    storage: Storage, plan: ComparisonManifest, statement: Statement, planned: int, *, begun: bool
) -> None:
    """Write a registration, unless this very one is there.

    Args:
        planned: replicates that the plan has.
        begun: whether a policy of the comparison is trained already.

    Raises:
        UsageError: the plan has another number of replicates, another registration is there, or a
            training came first.
    """
    if statement.replicates != planned:
        raise UsageError(
            f"the registration says {statement.replicates} replicates and the plan has {planned}: "
            "make them equal"
        )
    name = comparison_path(plan.name, FILE)
    content = {"plan": plan.model_dump(mode="json"), "statement": statement.model_dump(mode="json")}
    if storage.exists(name):
        if storage.read_mapping(name)["sha256"] != digest(content):
            raise UsageError(
                f"comparison '{plan.name}' has another registration: a registration is not "
                "rewritten; give this comparison another name"
            )
        return
    if begun:
        raise UsageError(
            f"comparison '{plan.name}' has trained already: what is registered now would come "
            "after results; give the comparison another name"
        )
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    storage.write_mapping(name, {"sha256": digest(content), "registered": now, **content})


def registered(storage: Storage, plan: ComparisonManifest) -> Registered | None:
    """What was registered, beside the plan as it is now; None: nothing was.

    Raises:
        DamagedFileError: what was written does not have its hash.
    """
    name = comparison_path(plan.name, FILE)
    if not storage.exists(name):
        return None
    there: dict[str, Any] = storage.read_mapping(name)
    content = {part: there.get(part) for part in ("plan", "statement")}
    if there.get("sha256") != digest(content):
        raise storage.fault(name)("its hash is of something else")
    now = plan.model_dump(mode="json")
    return Registered(
        there["sha256"][:16], str(there["registered"]), changed(there["plan"], now, type(plan))
    )
