"""Policies on held-out samples: who answers, what is counted, and what must be kept apart."""
