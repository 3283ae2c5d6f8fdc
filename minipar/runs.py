"""The folder of a run: what was asked for, what happened at every step, checkpoints, and a picture.

    config.json      the model's and the training's sizes and options
    metrics.jsonl    one line per step and per validation
    checkpoints/     the last two and the best
    loss.png         training and validation loss
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.config import ModelConfig
from minipar.data.tokenizer import Tokenizer, tokenizer_from_dict
from minipar.errors import CheckpointError
from minipar.nn import GPT


class Run:
    """A run's folder. Nothing is written before `create` or `go_on`."""

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self.checkpoints = Checkpoints(self.folder / "checkpoints")
        self.metrics = self.folder / "metrics.jsonl"
        self._log: IO[str] | None = None

    def create(self, config: dict[str, Any]) -> None:
        """Make the folder of a new run. Raises CheckpointError where one is there already, or where it cannot be written."""
        if (self.folder / "config.json").exists():
            raise CheckpointError(f"{self.folder} holds a run; go on with --resume {self.folder}, or choose another --out")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            self._log = self.metrics.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._refused(error) from error

    def go_on(self, done: int) -> None:
        """Open a run that has `done` steps in its checkpoint. Lines of later steps, which will be done again, are dropped."""
        kept = [json.dumps(line) + "\n" for line in read_metrics(self.metrics) if line["step"] < done]
        try:
            self.metrics.write_text("".join(kept), encoding="utf-8")
            self._log = self.metrics.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._refused(error) from error

    def log(self, **values: Any) -> None:
        """Add one line to metrics.jsonl; it is in the file when this returns."""
        assert self._log is not None, "create or go_on first"
        try:
            self._log.write(json.dumps(values) + "\n")
        except OSError as error:
            raise self._refused(error) from error

    def latest(self) -> tuple[Path, dict[str, np.ndarray], dict[str, Any]]:
        """The last checkpoint: its path, arrays and metadata. Raises CheckpointError where there is none, or a damaged one."""
        path = self.checkpoints.latest()
        if path is None:
            raise CheckpointError(f"{self.folder} holds no checkpoint; train one with: minipar train --out {self.folder}")
        return path, *load(path)

    def model(self) -> tuple[GPT, Tokenizer]:
        """The model of the last checkpoint, and its tokenizer."""
        _, arrays, meta = self.latest()
        model = GPT(ModelConfig(**meta["model"]), dtype=meta["train"]["dtype"])
        model.load_state_dict({name.removeprefix("weights/"): a for name, a in arrays.items() if name.startswith("weights/")})
        return model, tokenizer_from_dict(meta["tokenizer"])

    def _refused(self, error: OSError) -> CheckpointError:
        return CheckpointError(f"cannot write to {error.filename or self.folder}: {error.strerror}; choose another --out")


def read_metrics(path: Path) -> Iterable[dict[str, Any]]:
    """The lines of a metrics.jsonl. A last line that a kill cut short is left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return
