"""Who goes first: the orders of a selection, each over the columns of its candidates.

- ``instability``: the most unstable (U);
- ``safety-spread``: whose panel members contradict themselves most in safety;
- ``trainee``: where a group of the policy's own answers most likely holds both safe and unsafe ones
  (:mod:`qibox.trainee.learning`);
- ``coverage``: who is farthest from all that are chosen before (:mod:`qibox.selection.spreading`);
- ``weights``: the largest value of an expression of one's own;
- ``random``: by md5("<seed>:<sample_id>"), which any tool can recompute. With weights, drawn one
  after another in proportion to them: u^(1/w) is largest first (Efraimidis & Spirakis, Information
  Processing Letters 97, 2006), u in (0, 1) from the first 13 hexadecimal digits of the same md5.

Whoever has no such value (no profile, an expression that is null) cannot be ranked and is passed
over; so is a weight that is not above 0 where weights draw. Ties go by sample_id.
"""

from qibox.selection.request import Request

_DRAWN = "((('0x' || left(md5('{seed:d}:' || sample_id), 13))::bigint + 0.5) / 4503599627370496)"


def rank_of(request: Request) -> str:
    """By what a request ranks."""
    if request.random:
        return "random"
    return request.box.rank if request.box else "instability"


def worth_of(request: Request) -> str:
    """SQL of what a sample is ranked by, larger first; null: it cannot be ranked."""
    rank = rank_of(request)
    if rank == "random":
        return "1.0" if request.weights is None else "case when weight > 0 then weight end"
    columns = {
        "instability": "instability",
        "safety-spread": "safety_spread",
        "trainee": "trainee_spread",
        "coverage": "embedded",
        "weights": "weight",
    }
    return columns[rank]


def order_of(request: Request) -> str:
    """SQL of the order over candidates with their ``worth``, first come first."""
    if rank_of(request) != "random":
        return "worth desc, sample_id"
    if request.weights is None:
        return f"md5('{request.seed:d}:' || sample_id), sample_id"
    return f"ln({_DRAWN.format(seed=request.seed)}) / worth desc, sample_id"
