"""Which judges are asked: by name as a run has them, else by a manifest's name or path."""

from collections.abc import Iterable, Sequence

from qibox.errors import UsageError, command
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.load import load_manifest
from qibox.manifests.pool import PoolManifest


def chosen_judges(names: Iterable[str], own: Sequence[JudgeManifest] = ()) -> list[JudgeManifest]:
    """The judges of these names, each once; without names the first of a run's ``own``.

    Raises:
        UsageError: neither the run nor the package knows one of them, or it is people.
    """
    known = {judge.name: judge for judge in own}
    found = [
        known[name] if name in known else load_manifest(JudgeManifest, name)
        for name in dict.fromkeys(names)
    ] or list(own[:1])
    for judge in found:
        if judge.kind == "people":
            raise UsageError(
                f"judge '{judge.name}' is people, who rated what they were shown: their labels of "
                f"other answers come in by {command('judge', 'RUN', labels='FILE.csv')}"
            )
    return found


def judges_of_pool(names: Iterable[str], pool: PoolManifest) -> list[JudgeManifest]:
    """The judges of these names; without, the one that can rate this pool.

    Raises:
        UsageError: the oracle is to rate what it does not know.
    """
    mini = pool.is_miniature
    judges = chosen_judges(list(names) or (["oracle"] if mini else ["grm"]))
    if not mini and any(judge.kind == "oracle" for judge in judges):
        raise UsageError(
            f"the oracle knows miniature worlds alone and cannot rate pool '{pool.name}': name "
            "another, such as grm, or hash to try the path without a judge's weights",
            fields=["judge"],
        )
    return judges
