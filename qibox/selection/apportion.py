"""Whole numbers from shares: how many samples each stratum gives.

Arithmetic is exact (fractions), so that no two machines round a tie differently. Of equal claims
the earlier stratum's goes first: callers give strata in the order of their names.
"""

from collections.abc import Sequence
from fractions import Fraction


def largest_remainder(weights: Sequence[Fraction], total: int) -> list[int]:
    """Divide ``total`` in proportion to the weights; the numbers come to ``total``.

    Each gets the whole part of its exact share, and what is left goes one by one to the largest
    remainders (Hamilton's method). All zeros where no weight is above 0.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    exact = [weight * total / whole for weight in weights]
    given = [int(share) for share in exact]
    remainders = sorted(range(len(exact)), key=lambda at: (given[at] - exact[at], at))
    for at in remainders[: total - sum(given)]:
        given[at] += 1
    return given


def fill(
    weights: Sequence[Fraction], wanted: Sequence[int], available: Sequence[int], total: int
) -> list[int]:
    """Give each what is ``wanted`` of it, as far as it has it, then the others what is missing.

    What is missing to ``total`` is divided by :func:`largest_remainder` among those that still have
    some, as often as it takes. So the numbers come to ``total``, or to all that there is of those
    with a weight where that is less; and nobody gives less than was wanted because another had to
    give more, which rounding the whole anew could bring about.
    """
    taken = [min(want, has) for want, has in zip(wanted, available, strict=True)]
    reachable = sum(has for has, weight in zip(available, weights, strict=True) if weight)
    while (missing := min(total, reachable) - sum(taken)) > 0:
        left = [has - took for has, took in zip(available, taken, strict=True)]
        claims = [weight if has else Fraction(0) for weight, has in zip(weights, left, strict=True)]
        for at, share in enumerate(largest_remainder(claims, missing)):
            taken[at] += min(share, left[at])
    return taken
