"""Rounds: which prompts are rolled out when, and with which noise.

A round draws K rollouts for each of a step's prompts, and makes one or several updates from them.
Its prompts and its noise depend on the seed and on its number alone, so a training that goes on
from a checkpoint between two rounds draws what an unbroken one draws.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

NOISE, ORDER, SPARE = range(3)  # streams of random numbers, apart from each other


def derived(seed: int, stream: int, *numbers: int) -> np.random.SeedSequence:
    """A seed for one use, from the training's own, which may be any whole number."""
    return np.random.SeedSequence([seed % 2**64, stream, *numbers])


class RoundSampler:
    """Rows of the selection in the order in which TRL wants them, from the first round to the last.

    Each pass over the selection is a permutation of its own; what is left of it, fewer prompts than
    a round has, is passed over. A row comes K times in a row, and a round ``repeat`` times: TRL
    asks anew for each of its micro-batches and looks at the first answer only.
    """

    def __init__(
        self, samples: int, prompts: int, k: int, rounds: int, repeat: int, seed: int
    ) -> None:
        assert samples >= prompts, (samples, prompts)
        self._samples, self._prompts, self._k = samples, prompts, k
        self._rounds, self._repeat, self._seed = rounds, repeat, seed

    def __len__(self) -> int:
        return self._rounds * self._repeat * self._prompts * self._k

    def __iter__(self) -> Iterator[int]:
        for number in range(self._rounds):
            rows = [row for row in self.prompts_of(number) for _ in range(self._k)]
            for _ in range(self._repeat):
                yield from rows

    def prompts_of(self, number: int) -> list[int]:
        """Rows of the selection that a round rolls out; rounds count from 0."""
        in_a_pass = self._samples // self._prompts
        first = (number % in_a_pass) * self._prompts
        order = self._order(ORDER, number // in_a_pass)
        return [int(row) for row in order[first : first + self._prompts]]

    def spare(self, number: int) -> list[int]:
        """Rows that may take the place of a round's, in order; none of them is the round's own."""
        taken = set(self.prompts_of(number))
        return [int(row) for row in self._order(SPARE, number) if int(row) not in taken]

    def _order(self, stream: int, number: int) -> npt.NDArray[np.int64]:
        generator = np.random.default_rng(derived(self._seed, stream, number))
        return generator.permutation(self._samples)


def noise_seed(seed: int, number: int, process: int) -> int:
    """The seed of all that one process draws in a round."""
    return int(derived(seed, NOISE, number, process).generate_state(1)[0])
