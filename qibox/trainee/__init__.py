"""What a policy finds hard before it is trained: its own answers to the pool, sample by sample."""
