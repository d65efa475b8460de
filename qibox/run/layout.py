"""Where each table's files lie in a run directory, relative to it."""

import re

_SHARD = re.compile(
    r"(pool|rejects|scores|responses/model=[^/]+|judgments/judge=[^/]+/model=[^/]+)"
    r"/shard-\d{5,}\.parquet|pool/_index\.json"
)


def is_of_run(name: str) -> bool:
    """Whether a file's name is one that a run gives; any other file is somebody's own."""
    return _SHARD.fullmatch(name) is not None


def pool_path(shard: int) -> str:
    """The file of a pool shard."""
    return f"pool/shard-{shard:05d}.parquet"


def rejects_path(shard: int) -> str:
    """The file of the rows that were refused while a pool shard was filled."""
    return f"rejects/shard-{shard:05d}.parquet"


def responses_path(model: str, shard: int) -> str:
    """The file of one model's responses to one shard."""
    return f"responses/model={model}/shard-{shard:05d}.parquet"


def judgments_path(judge: str, model: str, shard: int) -> str:
    """The file of one judge's verdicts on one model's responses to one shard."""
    return f"judgments/judge={judge}/model={model}/shard-{shard:05d}.parquet"


def scores_path(shard: int) -> str:
    """The file of one shard's scores."""
    return f"scores/shard-{shard:05d}.parquet"
