from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qibox.grpo.rounds import RoundSampler, noise_seed

sizes = st.tuples(st.integers(1, 5), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair)))


def sampler(prompts: int, samples: int, **changes: Any) -> RoundSampler:
    usual: dict[str, Any] = {"k": 2, "rounds": 6, "repeat": 1, "seed": 0}
    return RoundSampler(samples, prompts, **{**usual, **changes})


@given(sizes, st.integers(2, 3), st.integers(1, 3), st.integers())
def test_a_round_repeats_each_of_its_prompts_k_times(
    size: tuple[int, int], k: int, repeat: int, seed: int
) -> None:
    made = sampler(*size, k=k, repeat=repeat, seed=seed)
    drawn = list(made)
    assert len(drawn) == len(made)
    width = size[0] * k
    blocks = [tuple(drawn[i : i + width]) for i in range(0, len(drawn), width)]
    for number in range(6):
        (asked,) = set(blocks[number * repeat : (number + 1) * repeat])
        assert list(asked) == [row for row in made.prompts_of(number) for _ in range(k)]


@given(sizes, st.integers(0, 20))
def test_no_prompt_comes_twice_in_a_round_or_in_a_pass(size: tuple[int, int], seed: int) -> None:
    prompts, samples = size
    made = sampler(prompts, samples, seed=seed)
    in_a_pass = samples // prompts
    rows = [row for number in range(in_a_pass) for row in made.prompts_of(number)]
    assert len(set(rows)) == len(rows) == in_a_pass * prompts
    assert set(rows) <= set(range(samples))


@given(sizes, st.integers(0, 20))
def test_a_rounds_spare_prompts_are_all_the_others(size: tuple[int, int], number: int) -> None:
    prompts, samples = size
    made = sampler(prompts, samples)
    assert sorted([*made.prompts_of(number), *made.spare(number)]) == list(range(samples))


def test_order_and_noise_depend_on_seed_and_round_alone() -> None:
    assert sampler(3, 50).prompts_of(4) == sampler(3, 50, rounds=5, repeat=2).prompts_of(4)
    assert sampler(3, 50, seed=1).prompts_of(4) != sampler(3, 50).prompts_of(4)
    seeds = {noise_seed(s, n, p) for s in (-1, 0, 1) for n in range(5) for p in range(2)}
    assert len(seeds) == 30
    assert noise_seed(0, 0, 0) == noise_seed(0, 0, 0)
