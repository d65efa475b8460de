"""TRL: selection → policy.

- :mod:`~qibox.grpo.training_plan` resolves a training, and refuses what cannot be trained
- :mod:`~qibox.grpo.rollout` draft → verdict → reflection → correction → reward → advantage
- :mod:`~qibox.grpo.credit` the advantages' formulas; :mod:`~qibox.grpo.rollout_rows` all as rows
- :mod:`~qibox.grpo.trainer` TRL's GRPOTrainer with both; :mod:`~qibox.grpo.train` runs it
"""
