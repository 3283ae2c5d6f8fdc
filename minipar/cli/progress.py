"""Shows the progress of a training run: as a bar on a terminal, or as ten lines in a log file or a pipe."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm

from minipar.console import tell
from minipar.training.step_result import StepResult

LINES = 10


class TrainingProgress:
    """The progress display. `begin` is the number of finished steps, `end` the number of all steps. If
    `shown` is False, this rank shows nothing.
    """

    def __init__(self, begin: int, end: int, *, shown: bool) -> None:
        self.done, self.end, self.shown = begin, end, shown
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self.bar = tqdm(total=end, initial=begin, unit="step", dynamic_ncols=True, desc="training",
                        disable=not (shown and terminal))

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.bar.close()

    def show(self, step: StepResult, validation: float | None) -> None:
        """Show one more step. `validation` is the last validation loss, or None before the first one."""
        self.done += 1
        known = "" if validation is None else f", validation {validation:.3f}"
        text = f"loss {step.loss:.3f}{known}, {step.tokens / step.seconds:,.0f} tokens/s"
        if not self.bar.disable:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update()
        elif self.shown and self.done * LINES // self.end > (self.done - 1) * LINES // self.end:
            tell(f"training: step {self.done} of {self.end}, {text}")
