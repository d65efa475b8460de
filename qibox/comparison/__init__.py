"""Experiments: arms trained under the same draws, compared replicate by replicate."""
