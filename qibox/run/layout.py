"""Where each table's files lie, relative to the run directory.

``home`` leads from there to tables of their own that lie in the same layout below it: a policy's
profile, the evaluations of a benchmark. It is empty, or ends in a slash.
"""

import re

_SHARD = re.compile(
    r"(pool|rejects|scores|responses/model=[^/]+|judgments/judge=[^/]+/model=[^/]+)"
    r"/shard-\d{5,}\.parquet|pool/_index\.json"
)

PROFILES = "profiles/"
_HOME = re.compile(r"(?P<run>.+)/(?P<home>(?:evaluations|profiles)/[^/]+)/?")


def is_of_run(name: str) -> bool:
    """Whether a file's name is one that a run gives; any other file is somebody's own."""
    return _SHARD.fullmatch(name) is not None


def pool_path(shard: int, home: str = "") -> str:
    """The file of a pool shard."""
    return f"{home}pool/shard-{shard:05d}.parquet"


def rejects_path(shard: int, home: str = "") -> str:
    """The file of the rows that were refused while a pool shard was filled."""
    return f"{home}rejects/shard-{shard:05d}.parquet"


def responses_path(model: str, shard: int, home: str = "") -> str:
    """The file of one model's responses to one shard."""
    return f"{home}responses/model={model}/shard-{shard:05d}.parquet"


def judgments_path(judge: str, model: str, shard: int, home: str = "") -> str:
    """The file of one judge's verdicts on one model's responses to one shard."""
    return f"{home}judgments/judge={judge}/model={model}/shard-{shard:05d}.parquet"


def labels_path(judge: str, home: str = "") -> str:
    """The file of what people said of responses, as a judge's recorded verdicts."""
    return f"{home}labels/{judge}.parquet"


def audit_folder(judge: str, other: str, home: str = "") -> str:
    """The folder of what comparing a judge with another found."""
    return f"{home}audits/judge={judge}/other={other}"


def reflections_folder(policy: str, judge: str) -> str:
    """The folder of what a second judge says of a training's reflections."""
    return f"audits/policy={policy}/judge={judge}"


def scores_path(shard: int, home: str = "") -> str:
    """The file of one shard's scores."""
    return f"{home}scores/shard-{shard:05d}.parquet"


def split_home(path: str) -> tuple[str, str]:
    """Take a path to answers of policies apart: the run's, and the home below it, else empty."""
    found = _HOME.fullmatch(path)
    return (found["run"], f"{found['home']}/") if found else (path, "")


def evaluation_home(benchmark: str) -> str:
    """Where the answers of policies to a benchmark lie, in a run directory's own layout."""
    return f"evaluations/{benchmark}/"


def profile_home(policy: str) -> str:
    """Where a policy's own answers to the run's pool lie."""
    return f"{PROFILES}{policy}/"


def answered_path(policy: str, judge: str) -> str:
    """The file of what a policy's answers to the run's pool came to by a judge."""
    return f"{profile_home(policy)}answered/judge={judge}.parquet"


def rephrasings_path(rephraser: str, key: str) -> str:
    """The file of what a rephraser said of chosen samples, by all that decides it."""
    return f"rephrasings/{rephraser}-{key[:12]}.parquet"


def policy_path(name: str, file: str = "") -> str:
    """The folder of a trained policy, or a file in it."""
    return f"policies/{name}/{file}" if file else f"policies/{name}"


def selection_path(name: str, file: str = "") -> str:
    """The folder of a selection, or a file in it."""
    return f"selections/{name}/{file}" if file else f"selections/{name}"
