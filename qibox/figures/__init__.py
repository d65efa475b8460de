"""Figures: frames of a run's tables in, matplotlib figures out, in one style, the same bytes."""
