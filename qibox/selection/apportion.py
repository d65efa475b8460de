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


def fill(weights: Sequence[Fraction], available: Sequence[int], total: int) -> list[int]:
    """Divide ``total`` as :func:`largest_remainder` does, but to none more than it has.

    What a stratum lacks is divided among those that still have some, in proportion to their
    weights, until nothing is missing or all strata with a weight are empty. So the numbers come to
    ``total``, or to all that there is where that is less.
    """
    taken = [0] * len(weights)
    reachable = sum(has for has, weight in zip(available, weights, strict=True) if weight)
    missing = min(total, reachable)
    while missing:
        left = [has - took for has, took in zip(available, taken, strict=True)]
        claims = [weight if has else Fraction(0) for weight, has in zip(weights, left, strict=True)]
        for at, share in enumerate(largest_remainder(claims, missing)):
            taken[at] += min(share, left[at])
        missing = min(total, reachable) - sum(taken)
    return taken
