"""How completions are drawn: the one setting that panels, judges and engines share."""

from typing import Annotated, Any

from pydantic import Field

from qibox.fields import Deciding
from qibox.manifests.common import Checked


class Sampling(Checked):
    """How completions are drawn. Noise is keyed by (seed, model, key, k), never by batch."""

    samples: Deciding[Annotated[int, Field(ge=1, le=10_000)]] = 1  # K, completions a prompt
    temperature: Deciding[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = 1.0  # 0 is greedy
    top_p: Deciding[Annotated[float, Field(gt=0, le=1)]] = 1.0
    max_tokens: Deciding[Annotated[int, Field(ge=1)]] = 512
    seed: Deciding[Annotated[int, Field(ge=-(2**63), lt=2**63)]] = 0
    # constrain the text to this schema, where supported
    json_schema: Deciding[dict[str, Any] | None] = None
