"""Asks the monitors after each step, keeps and tells what they raise, and acts on it.

Writes alarms.parquet (:data:`qibox.tables.ALARMS`) beside the training's other files.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal

from qibox.grpo.monitors.alarms import Alarm, alarms
from qibox.grpo.unfinished import Unfinished
from qibox.manifests.monitors import Monitors

OnAlarm = Literal["warn", "stop", "rollback"]


class Watch:
    """The monitors of one training; all its processes have one, and the main one's decides."""

    def __init__(
        self,
        settings: Monitors,
        rows: Sequence[dict[str, Any]],
        unfinished: Unfinished | None,
        on_alarm: OnAlarm,
        tell: Callable[[str], None],
    ) -> None:
        """``rows`` grow step by step; ``unfinished`` is None in a process that does not write."""
        self._settings = settings
        self._rows = rows
        self._unfinished = unfinished
        self._on_alarm = on_alarm
        self._tell = tell
        self._told = [] if unfinished is None else unfinished.alarms()
        self.ended_by: str | None = None  # the sentence of the alarm that ended the training

    def look(self) -> bool:
        """Ask after the last step; whether the training is to end."""
        from accelerate.utils import broadcast_object_list

        found: list[Alarm] = []
        if self._unfinished is not None:
            fired = {row["monitor"] for row in self._told}
            found = alarms(self._rows, self._settings, fired)
        found = broadcast_object_list([found])[0]
        if not found:
            return False
        self._told += [asdict(alarm) for alarm in found]
        self.keep()
        for alarm in found:
            self._tell(f"Alarm, {alarm.monitor}: {alarm.sentence}")
        if self._on_alarm == "warn":
            return False
        self.ended_by = found[0].sentence
        return True

    def keep(self) -> None:
        """Write all alarms so far."""
        if self._unfinished is not None:
            self._unfinished.write_alarms(self._told)

    def callback(self, updates: int) -> Any:
        """Return the trainer callback that looks after each round of so many updates."""
        from transformers import TrainerCallback

        look = self.look

        class Looking(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
            def on_log(
                self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any
            ) -> None:
                if "loss" in (logs or {}) and not state.global_step % updates and look():
                    control.should_training_stop = True
                    control.should_save = False  # what the alarm is about is no checkpoint

        return Looking()
