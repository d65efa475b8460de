"""Where judges are asked: loaded here, or at the server of a model."""

from collections.abc import Sequence

from pydantic import ValidationError

from qibox.errors import UsageError
from qibox.manifests.common import is_name
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import ModelSpec


def placed(judges: Sequence[JudgeManifest], places: Sequence[str] = ()) -> list[JudgeManifest]:
    """The judges, each asked at its place, or loaded where it is asked from if it has none.

    A place is ``URL`` where one judge has a model, or ``JUDGE=URL``. Where a judge was asked
    before, which a run remembers, is not where it is now.

    Raises:
        UsageError: no such judge, one that has no model to serve, or no address.
    """
    addresses = _addresses(judges, places)
    return [at_place(judge, addresses.get(judge.name)) for judge in judges]


def at_place(judge: JudgeManifest, url: str | None) -> JudgeManifest:
    """The judge asked at an address, or loaded here."""
    if judge.model is None:
        if url is None:
            return judge
        raise UsageError(
            f"{url}: judge '{judge.name}' has no model that is served", fields=["judge_at"]
        )
    if judge.model.engine == "openai" and url is not None:
        raise UsageError(
            f"{url}: judge '{judge.name}' is behind an endpoint by its manifest: change "
            "settings.base_url there",
            fields=["judge_at"],
        )
    try:
        model = ModelSpec.model_validate(judge.model.model_dump() | {"at": url})
    except ValidationError as error:
        raise UsageError(
            f"{url} is no address: give one such as http://127.0.0.1:8000/v1, without key or "
            "password",
            fields=["judge_at"],
        ) from error
    return judge.model_copy(update={"model": model})


def _addresses(judges: Sequence[JudgeManifest], places: Sequence[str]) -> dict[str, str]:
    """Addresses by judge."""
    modelled = [judge.name for judge in judges if judge.model is not None]
    found: dict[str, str] = {}
    for place in places:
        name, sign, url = place.partition("=")
        if not (sign and is_name(name)):
            if len(modelled) > 1:
                raise UsageError(
                    f"{place} does not say whose it is: give {modelled[0]}={place}",
                    fields=["judge_at"],
                )
            name, url = (modelled or [judges[0].name])[0], place
        if name not in [judge.name for judge in judges]:
            known = ", ".join(judge.name for judge in judges)
            raise UsageError(
                f"{place}: no judge '{name}' is asked here, but {known}", fields=["judge_at"]
            )
        if name in found:
            raise UsageError(
                f"judge '{name}' is given two addresses: give one", fields=["judge_at"]
            )
        found[name] = url
    return found
