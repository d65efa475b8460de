"""A run in Python: its tables, one sample with all that is known of it, its figures, a choice."""

from qibox.opened.run import OpenRun
from qibox.opened.sample import Answer, Sample

__all__ = ["Answer", "OpenRun", "Sample"]
