"""What a training imports, imported: for processes that are forked (:mod:`tests.forked`)."""

from qibox.torchvision_ops import declare_missing_operators

declare_missing_operators()

import transformers.models.qwen2_5_vl.modeling_qwen2_5_vl  # noqa: E402
import transformers.models.qwen2_5_vl.processing_qwen2_5_vl  # noqa: E402, F401

import qibox.grpo.trainer  # noqa: E402
import qibox.judges.hash  # noqa: E402, F401
