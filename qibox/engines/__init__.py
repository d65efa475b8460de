"""How models are run: one protocol, and one file for each engine that keeps it."""

from qibox.engines.base import Engine
from qibox.manifests.sampling import Sampling

__all__ = ["Engine", "Sampling"]
