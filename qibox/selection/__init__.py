"""scores → selection: which samples the box lets through, written as a training shard.

>>> choice = choose(run, by_box(load_manifest(BoxManifest, "mini")))
>>> write_selection(run, choice)
"""

from qibox.selection.choose import Choice, choose
from qibox.selection.request import Request, at_random, by_box
from qibox.selection.write import write_selection, written_already

__all__ = [
    "Choice",
    "Request",
    "at_random",
    "by_box",
    "choose",
    "write_selection",
    "written_already",
]
