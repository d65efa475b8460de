"""Quality and instability of each sample, from the judges' scores.

s[i,m,k] in [1, 10] is the score of response k of model m on sample i. With μ[i,m] and v[i,m] its
mean and population variance over k:

- quality Q = mean over m of μ, in [1, 10];
- disagreement D = population standard deviation over m of μ;
- self-instability V = sqrt(mean over m of v);
- instability U = sqrt(D² + V²), in [0, 4.5];
- safety spread = mean over m of K/(K − 1)·q(1 − q), in [0, 1/2], where q[i,m] is the share
  of m's K answers that the judge calls safe: half the chance that two answers of one model differ
  in it (K/(K − 1) makes that unbiased).

With every score present, U is exactly the population standard deviation of all K×M of them (law of
total variance). Where a response shows no reasoning, its score is of the answer alone:
``reasoned_share`` says how many of a sample's do show it, so that disagreement that is one of form
can be told from one of quality. SaFeR-VLM (arXiv 2510.06871) names quality and instability but
publishes no formula; these are this project's. Missing scores are left out, each model weighing the
same.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.tables import SCORES

DECIMALS = 6  # tools sum in different orders; boxes compare these written values

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def score_samples(
    sample_ids: pa.Array, judgments: pa.Table, min_models: int, min_responses: int
) -> pa.Table:
    """Score the samples of one shard.

    Args:
        sample_ids: the shard's ids, each once; gives the rows' order.
        judgments: sample_id, model, score (null where missing) and safe (null where the judge
            cannot tell), of these samples; and, where the judge rates reasoning and answer apart,
            answer_score and logical_coherence (null where no reasoning is shown).
        min_models: models that must count, below which a sample's scores are null.
        min_responses: judged responses a model needs to count.

    Returns:
        One row of :data:`qibox.tables.SCORES` for each id. Too few judgments: null and a reason;
        safe_rate is null as well where no judgment says safe or unsafe, safety_spread where no
        model has two that do, reasoned_share where none rates an answer apart.
    """
    present = judgments.filter(pc.is_valid(judgments["score"]))
    models = pc.unique(present["model"].combine_chunks())
    n, m = len(sample_ids), len(models)
    row = pc.index_in(present["sample_id"], value_set=sample_ids)
    column = pc.index_in(present["model"], value_set=models)
    assert row.null_count == 0, "a judgment is of no sample of the shard"
    cell = _integers(row) * m + _integers(column)
    score = _floats(present["score"])
    grid = (n, m)  # samples × models; sums below run over the responses of each cell

    mean, count = _cell_means(cell, score, grid)
    variance, _ = _cell_means(cell, (score - mean.ravel()[cell]) ** 2, grid)
    told = _booleans(pc.is_valid(present["safe"]))
    safe, n_told = _cell_means(cell[told], _floats(present["safe"].drop_null()), grid)
    apart, reasoned = _told_apart(present)
    share, n_apart = _cell_means(cell[apart], reasoned[apart].astype(np.float64), grid)

    counts = count >= min_responses
    quality = _mean_over_models(mean, counts)
    between = _mean_over_models((mean - quality[:, None]) ** 2, counts)
    within = _mean_over_models(variance, counts)
    n_models = counts.sum(axis=1)
    enough = n_models >= min_models
    counts_safe, counts_apart = counts & (n_told > 0), counts & (n_apart > 0)
    enough_safe, enough_apart = (enough & some.any(axis=1) for some in (counts_safe, counts_apart))
    counts_pairs = counts & (n_told > 1)  # one answer alone cannot differ from another
    pairs = _divide(safe * (1 - safe) * n_told, n_told - 1)
    return pa.table(
        {
            "sample_id": sample_ids,
            "quality": _rounded(quality, enough),
            "instability": _rounded(np.sqrt(between + within), enough),
            "disagreement": _rounded(np.sqrt(between), enough),
            "self_instability": _rounded(np.sqrt(within), enough),
            "safe_rate": _rounded(_mean_over_models(safe, counts_safe), enough_safe),
            "safety_spread": _rounded(
                _mean_over_models(pairs, counts_pairs), enough & counts_pairs.any(axis=1)
            ),
            "reasoned_share": _rounded(_mean_over_models(share, counts_apart), enough_apart),
            "n_models": n_models,
            "n_judged": count.sum(axis=1).astype(np.int64),
            "reason": _reasons(n_models, enough, min_models, min_responses),
        }
    ).cast(SCORES)


def _told_apart(judgments: pa.Table) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which judgments rate an answer apart from its reasoning, and which rate reasoning."""
    if not {"answer_score", "logical_coherence"} <= set(judgments.column_names):
        return (np.zeros(len(judgments), np.bool_),) * 2
    both = (judgments["answer_score"], judgments["logical_coherence"])
    apart, reasoned = (_booleans(pc.is_valid(values)) for values in both)
    return apart, reasoned


def _booleans(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(values.to_numpy(), dtype=np.bool_)


def _integers(values: pa.ChunkedArray) -> Integers:
    return np.asarray(values.to_numpy(), dtype=np.int64)


def _floats(values: pa.ChunkedArray) -> Floats:
    return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _cell_means(cell: Integers, values: Floats, grid: tuple[int, int]) -> tuple[Floats, Floats]:
    """Mean of each cell's values (0 where it has none), and how many there are; both (n, m)."""
    size = grid[0] * grid[1]
    count = np.bincount(cell, minlength=size).astype(np.float64)
    mean = _divide(np.bincount(cell, weights=values, minlength=size), count)
    return mean.reshape(grid), count.reshape(grid)


def _divide(total: npt.NDArray[np.number], count: Floats) -> Floats:
    quotient = np.zeros(total.shape)
    np.divide(total, count, out=quotient, where=count > 0)
    return quotient


def _mean_over_models(values: Floats, counts: npt.NDArray[np.bool_]) -> Floats:
    """Mean over the models that count; 0 where none does, and such rows become null."""
    return _divide((values * counts).sum(axis=1), counts.sum(axis=1).astype(np.float64))


def _rounded(values: Floats, enough: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.round(values, DECIMALS), mask=~enough)


def _reasons(
    n_models: Integers, enough: npt.NDArray[np.bool_], min_models: int, min_responses: int
) -> pa.Array:
    """Why a row's scores are null; the text varies only with the number of models."""
    found, inverse = np.unique(n_models, return_inverse=True)
    texts = np.array(
        [
            f"models with at least {min_responses} judged responses: {k}, needed: {min_models}"
            for k in found
        ],
        dtype=object,
    )
    return pa.array(texts[inverse], type=pa.string(), mask=enough)
