"""How likely a policy's answers to a sample differ in safety: what a group of K would learn from.

Reads what a policy answered to the run's pool (`qibox profile`). Of n judged answers to a sample x
are unsafe. Few answers say little, so a sample's share is shrunk towards that of its kind of risk:
a beta distribution over the kind's samples, fitted by its first two moments, is the prior, and
what is known of the sample after its answers is Beta(α + x, β + n − x). From that:

- unsafe share = (α + x) / (α + β + n), in [0, 1];
- spread = chance that K answers are neither all safe nor all unsafe
  = 1 − E[p^K] − E[(1 − p)^K], in [0, 1); under Beta(a, b) E[p^K] = Π_{j<K} (a + j) / (a + b + j).

Moments of the beta-binomial distribution: Kleinman, JASA 68 (1973), 46-54.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qibox.errors import UsageError, command
from qibox.run.directory import Run
from qibox.trainee.answered import answered

Floats = npt.NDArray[np.float64]

DECIMALS = 6  # as scores are written
WEAKEST, STRONGEST = 0.1, 1000.0  # answers that a prior counts for, at least and at most

LEARNING = pa.schema(
    [
        ("sample_id", pa.string()),
        ("trainee_mean", pa.float64()),  # of the scores, [1, 10]
        ("trainee_unsafe", pa.float64()),  # share of unsafe answers, shrunk, [0, 1]
        ("trainee_spread", pa.float64()),  # chance that a group of K differs in safety, [0, 1)
    ]
)


def profiled_policies(run: Run) -> list[str]:
    """Names of the policies that were profiled on the run's pool, sorted."""
    names = {file.split("/")[1] for file in run.storage.files("profiles") if "judgments/" in file}
    return sorted(names)


def profiled(run: Run, policy: str | None) -> str:
    """The named policy, or the only one that was profiled.

    Raises:
        UsageError: it was not profiled, or there is none or a choice of several.
    """
    there = profiled_policies(run)
    if policy in there:
        return policy
    makes = command("profile", run.storage.url, policy=policy or "P")
    if policy is None and len(there) == 1:
        return there[0]
    if policy is None and there:
        raise UsageError(
            f"several policies were profiled on {run.storage.url} ({', '.join(there)}): say which",
            fields=["policy"],
        )
    wanted = "no policy" if policy is None else f"policy '{policy}'"
    listed = f" (there are {', '.join(there)})" if there else ""
    raise UsageError(
        f"{wanted} was profiled on {run.storage.url}{listed}: {makes} asks one",
        fields=["policy"],
    )


def learning(run: Run, policy: str, group: int, *, keep: bool = True) -> pa.Table:
    """A row of :data:`LEARNING` for each sample that a policy was profiled on, by sample_id.

    ``group`` is K of the groups that are told of. Judged by the run's first judge; samples without
    an answer that was called safe or unsafe have no row. ``keep`` as in
    :func:`qibox.trainee.answered.answered`.
    """
    rows = answered(run, policy, run.manifest.judges[0].name, keep=keep)
    told, unsafe = (rows[name].to_numpy().astype(np.float64) for name in ("told", "unsafe"))
    kinds = rows["risk"].combine_chunks().dictionary_encode().indices.to_numpy()  # (n,)
    a, b = np.empty(len(rows)), np.empty(len(rows))
    for kind in np.unique(kinds):
        of = kinds == kind
        alpha, beta = beta_prior(unsafe[of], told[of])
        a[of], b[of] = alpha + unsafe[of], beta + told[of] - unsafe[of]
    columns = {
        "sample_id": rows["sample_id"],
        "trainee_mean": rows["mean"],
        "trainee_unsafe": np.round(a / (a + b), DECIMALS),
        "trainee_spread": np.round(chance_of_spread(a, b, group), DECIMALS),
    }
    return pa.table(columns).cast(LEARNING)


def beta_prior(unsafe: Floats, told: Floats) -> tuple[float, float]:
    """α and β of the beta distribution of unsafe shares, by moments; both above 0.

    ``unsafe`` of ``told`` answers a sample, (n,) each, told ≥ 1. Where shares differ no more than
    chance would have them, the prior counts for :data:`STRONGEST` answers; where a kind is all safe
    or all unsafe, one more answer of the other sort is thought of.
    """
    mean = float((unsafe.sum() + 0.5) / (told.sum() + 1))
    once = float(np.mean(1 / told))  # of a sample's variance by chance, what is its mean's
    beyond = float(np.var(unsafe / told)) - mean * (1 - mean) * once
    strength = mean * (1 - mean) * (1 - once) / beyond - 1 if beyond > 0 else STRONGEST
    strength = min(max(strength, WEAKEST), STRONGEST)
    return mean * strength, (1 - mean) * strength


def chance_of_spread(a: Floats, b: Floats, group: int) -> Floats:
    """Chance that ``group`` answers are neither all safe nor all unsafe, p ~ Beta(a, b); (n,)."""
    steps = np.arange(group)[:, None]  # (K, 1)
    all_unsafe = np.prod((a + steps) / (a + b + steps), axis=0)
    all_safe = np.prod((b + steps) / (a + b + steps), axis=0)
    spread: Floats = 1 - all_unsafe - all_safe
    return np.clip(spread, 0.0, 1.0)
