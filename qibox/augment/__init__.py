"""Variants of samples that keep what is asked and what is right to answer."""
