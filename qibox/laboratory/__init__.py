"""A laboratory world in a directory: its pools, models and manifests, for every other command.

- :mod:`~qibox.laboratory.plan` which world, and how large
- :mod:`~qibox.laboratory.files` what lies in it beside the models
- :mod:`~qibox.laboratory.judges` two judges of its own, where they are wanted
- :mod:`~qibox.laboratory.make` makes it all; the training is :mod:`qibox.mini.train`'s
"""
