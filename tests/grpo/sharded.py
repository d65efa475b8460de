"""A sharded training, stopped and gone on with: ``torchrun -m tests.grpo.sharded CONFIG RUN …``.

accelerate shards among accelerators alone; here its state is told that processes of a CPU may as
well, and everything after that is accelerate's, torch's and TRL's own doing.
"""

import sys
from typing import Any

from tests.grpo import replayed

STOPPED_AT = 3  # the step whose end is not reached at first


class Stopped(Exception):
    """The training ends here, in all processes at once."""


def stop(step: int, metrics: dict[str, Any]) -> None:
    if step == STOPPED_AT:
        raise Stopped


def shard_on_cpu() -> None:
    """Let accelerate do with CPU processes what it does with GPUs'."""
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    usual = AcceleratorState.__init__

    def init(self: Any, *given: Any, fsdp_plugin: Any = None, **named: Any) -> None:
        usual(self, *given, fsdp_plugin=fsdp_plugin, **named)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = init


def main(config: str, run: str, recipe: str, name: str) -> None:
    replayed.replay()
    from qibox.grpo.sharding import apply_config, read_config

    apply_config(config, read_config(config), 2)
    shard_on_cpu()
    try:
        replayed.main(run, recipe, name, stop)
    except Stopped:
        replayed.main(run, recipe, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
