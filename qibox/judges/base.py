"""What rates a response: the one protocol that every judge keeps."""

from typing import Protocol

import pyarrow as pa


class Judge(Protocol):
    """Rates responses; a verdict depends on the sample and the text, and on nothing else."""

    def judge(self, samples: pa.Table, responses: pa.Table) -> pa.Table:
        """Return one row of :data:`qibox.tables.VERDICTS` for each response, in their order.

        ``samples`` has the pool's columns; ``responses`` has sample_id, text, reasoning and
        answer, no text null, each (sample_id, text) once unless the judge looks its verdicts up
        (:func:`looks_up`), every sample_id among ``samples``.
        A response that could not be judged has null score and a reason; none is left out.
        """
        ...

    def close(self) -> None:
        """Free what the judge holds."""
        ...


def looks_up(judge: Judge) -> bool:
    """Whether a judge only looks its verdicts up, so that asking twice costs next to nothing.

    Such a judge has ``looks_up = True``.
    """
    return getattr(judge, "looks_up", False)
