"""Manages the checkpoints of a run: the last few and the best. At every moment, at least one checkpoint is
complete.

The step is in the file's name, and the validation loss is in its metadata. So there is no index file that
could contradict the checkpoints.
"""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minipar.checkpoint.archive import load_meta, save
from minipar.checkpoint.atomic import refusals_named, remove_leftovers
from minipar.errors import CheckpointError, ConfigError
from minipar.records import is_number

_NAME = re.compile(r"step-(\d{8,})\.npz", re.ASCII)


class Checkpoints:
    """Manages the folder of one run's checkpoints, with one writer and any number of readers."""

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        """`keep` is the number of last checkpoints that are kept in addition to the best one."""
        if keep < 1:
            raise ConfigError(f"a run keeps at least 1 checkpoint, not {keep}")
        self.folder = Path(folder)
        self.keep = keep

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.npz"

    def save(self, step: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any],
             loss: float | None = None) -> Path:
        """Save the state after `step` steps, then remove all checkpoints except the last `keep` and the best.

        `loss` is the validation loss, which `best` compares. "step" and "loss" are added to the metadata.
        Raises CheckpointError if the operating system refuses to write, or if the folder already has a
        checkpoint of a later step. Such a checkpoint most likely belongs to another run.
        """
        path = self.path(step)
        if later := [number for number in self._steps() if number > step]:
            raise CheckpointError(f"{self.folder} holds a checkpoint of step {later[-1]}, later than step "
                                  f"{step}; resume from that, or choose another folder")
        with refusals_named(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.folder)       # first, because the disk may be full
            save(path, arrays, {**meta, "step": step, "loss": loss})
            self.prune()
        return path

    def latest(self) -> Path | None:
        """Return the checkpoint of the last step, or None if there is none."""
        steps = self._steps()
        return self.path(steps[-1]) if steps else None

    def best(self) -> Path | None:
        """Return the checkpoint with the lowest validation loss, or the later one if two are equal.

        The result is None if no checkpoint has a validation loss.
        """
        losses = {}
        for step in self._steps():
            try:
                loss = load_meta(self.path(step)).get("loss", math.nan)
            except CheckpointError:             # damaged, so it is not the best
                continue
            if is_number(loss) and math.isfinite(float(loss)):
                losses[step] = loss
        return self.path(min(losses, key=lambda step: (losses[step], -step))) if losses else None

    def _steps(self) -> list[int]:
        """Return the steps that have a checkpoint, in order. Temporary files have other names."""
        try:
            return sorted(int(match[1]) for name in os.listdir(self.folder)
                          if (match := _NAME.fullmatch(name)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise CheckpointError(f"cannot read {self.folder}: {error.strerror}") from error

    def prune(self) -> None:
        """Remove all checkpoints except the last `keep` and the best.

        `save` also does this, but the process may be killed before that.
        """
        best = self.best()
        for path in map(self.path, self._steps()[:-self.keep]):
            if path != best:
                path.unlink(missing_ok=True)
