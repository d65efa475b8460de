"""Numbers that an option may have: beyond them a value is a slip, and would go to work for ever."""

import click

COUNT = click.IntRange(1, 2**53)  # samples or rows; more than any pool has
SAMPLES = click.IntRange(1, 10_000)  # responses a sample
STEPS = click.IntRange(1, 10_000_000)
SEED = click.IntRange(0, 2**63 - 1)
TRAINING_SEED = click.IntRange(0, 2**32 - 1)  # as numpy takes them
