"""How completions are drawn: the one setting that panels, judges and engines share."""

from typing import Annotated, Any

from pydantic import Field

from qibox.manifests.common import Checked


class Sampling(Checked):
    """How completions are drawn. Noise is keyed by (seed, model, key, k), never by batch."""

    samples: Annotated[int, Field(ge=1)] = 1  # K, completions a prompt
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0  # 0 is greedy
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 512
    seed: int = 0
    json_schema: dict[str, Any] | None = None  # constrain the text to this schema, where supported
