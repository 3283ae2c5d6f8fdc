"""Read and write the folder of a run: its options, the metrics of every step, checkpoints, and a picture.

    config.json      the model's and the training's sizes and options
    metrics.jsonl    one line per step and per validation (log_schema.py)
    checkpoints/     the last two checkpoints and the best one
    loss.png         training and validation loss
    summary.txt      one page about a finished run
    trace/           one timed step, if the option is set
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from minipar.checkpoint.archive import load
from minipar.checkpoint.atomic import refusals_named, remove_leftovers, replacing
from minipar.checkpoint.claim import claimed
from minipar.checkpoint.contents import require_run, require_sound
from minipar.checkpoint.fingerprint import fingerprint
from minipar.checkpoint.folder import Checkpoints
from minipar.comm.collectives.gather_values import one_choice, same_everywhere
from minipar.comm.protocol import Communicator
from minipar.config import ModelConfig
from minipar.data.tokenizer import Tokenizer, tokenizer_from_dict
from minipar.errors import CheckpointError
from minipar.inference.stages import stages_of
from minipar.nn import GPT
from minipar.parallel.grid import Grid
from minipar.parallel.stages import Stages
from minipar.records import is_number, is_whole
from minipar.training.trainer import Trainer
from minipar.untrusted.files import GIB, MIB, opened, read_bytes
from minipar.untrusted.plain import parse_json

LARGEST_METRICS, LONGEST_LINE = 4 * GIB, 10_000                     # bytes


class RunFolder:
    """Reads and writes a run's folder. No file is written before `create` or `reopen`. Raises CheckpointError
    if a file cannot be written.

    In a `with` block, the folder is locked for this process, from `claim` or `create` to the end of the
    block.

    >>> import tempfile, minipar as mp
    >>> text = "to be or not to be, " * 40
    >>> letters = mp.make_tokenizer("char", text)
    >>> model = mp.ModelConfig(vocabulary=letters.vocab_size, context=8, layers=1, heads=1, width=8)
    >>> def training(comm, steps, path):
    ...     config = mp.TrainConfig(batch=4, steps=steps, validation_windows=2)
    ...     trainer = mp.Trainer(model, config, letters, letters.encode(text), mp.Grid(comm, mp.Layout(dp=2)))
    ...     with mp.RunFolder(path, writes=comm.rank == 0) as folder:
    ...         folder.resume(trainer) if steps > 2 else folder.start(trainer)
    ...         return len(mp.fit(trainer, folder).steps), trainer.steps_done
    >>> with tempfile.TemporaryDirectory() as path:
    ...     mp.run(2, training, 2, path)[0], mp.run(2, training, 5, path)[0]
    ((2, 2), (3, 5))
    """

    def __init__(self, folder: str | os.PathLike[str], writes: bool = True):
        """`writes` is True on rank 0 of a job. On other ranks it is False, and the methods that write are
        no-ops.
        """
        self.folder, self.writes = Path(folder), writes
        self.checkpoints = Checkpoints(self.folder / "checkpoints")
        self.metrics, self.summary = self.folder / "metrics.jsonl", self.folder / "summary.txt"
        self._claims = ExitStack()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        self._claims.close()

    def claim(self) -> None:
        """Lock the folder for this process, if the folder exists.

        Raises CheckpointError if another process has locked it.
        """
        if self.writes and self.folder.is_dir():
            self._claims.enter_context(claimed(self.folder))

    def start(self, trainer: Trainer, trace: bool = False) -> None:
        """Create the folder of a new run, and save the first checkpoint. If `trace` is true, one step will
        be timed at the end. All ranks call this method.

        Raises CheckpointError if the folder already holds a run.
        """
        self.create(options_of(trainer, trace))
        self.save(trainer)                                          # a run always has a checkpoint

    def resume(self, trainer: Trainer) -> None:
        """Restore the last checkpoint into the trainer, and open the folder for more steps. All ranks call
        this method.

        Raises CheckpointError if the folder holds no run, or a run of another model or text.
        """
        self.claim()
        path, arrays, meta = self.latest(trainer.grid.world)
        trainer.restore(arrays, meta, path)
        self.reopen(trainer, meta)

    def create(self, config: dict[str, Any]) -> None:
        """Create the folder of a new run. Raises CheckpointError if it already holds a run."""
        if not self.writes:
            return
        with refusals_named(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.claim()
        if self.checkpoints.latest() or any(read_metrics(self.metrics)):
            raise CheckpointError(f"{self.folder} holds a run; continue it with --resume {self.folder}, or "
                                  "choose another --out", item=str(self.folder))
        self._clear()
        self._write("config.json", json.dumps(config, indent=2) + "\n")

    def reopen(self, trainer: Trainer, meta: Mapping[str, Any], trace: bool = False) -> None:
        """Open the folder for more steps of a trainer that has restored the last checkpoint. Metrics of later
        steps are removed, because these steps will run again.

        If the options have changed, the state is saved with the new options before the old summary is
        removed. So a kill at any time leaves a consistent run, with the old or the new options. meta: the
        values of the checkpoint that are not arrays. trace: see `start`. All ranks call this method.
        """
        if self.writes:
            self._clear()
            kept = [json.dumps(line) + "\n" for line in read_metrics(self.metrics)
                    if line["step"] < trainer.steps_done]
            self._write("metrics.jsonl", "".join(kept))
        if (meta["model"], meta["train"]) != (asdict(trainer.model), asdict(trainer.config)):
            self.save(trainer, meta.get("loss"))
        if self.writes:
            self._write("config.json", json.dumps(options_of(trainer, trace), indent=2) + "\n")
            with refusals_named(self.summary):
                self.summary.unlink(missing_ok=True)

    def is_finished(self, trace: bool) -> bool:
        """Returns True if all result files of a run exist. The summary is written last."""
        return self.summary.is_file() and (not trace or (self.folder / "trace" / "summary.json").is_file())

    def asked_for_trace(self) -> bool:
        """Returns True if `trace` is set in config.json. Returns False if the file cannot be read."""
        try:
            said = parse_json(read_bytes(self.folder / "config.json", MIB, CheckpointError), "config.json",
                              CheckpointError)
        except (CheckpointError, OSError):
            return False
        return isinstance(said, dict) and said.get("trace") is True

    def _clear(self) -> None:
        """Remove the temporary files of processes that were killed."""
        for folder in (self.folder, self.checkpoints.folder, self.folder / "trace"):
            with refusals_named(folder):
                remove_leftovers(folder)
        with refusals_named(self.checkpoints.folder):
            self.checkpoints.prune()

    def log(self, **values: Any) -> None:
        """Append one line to metrics.jsonl. The line is in the file when this method returns."""
        if not self.writes:
            return
        with refusals_named(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def summarise(self, lines: list[str]) -> list[str]:
        """Write the lines as the run's summary, and return them."""
        self._write("summary.txt", "\n".join(lines) + "\n")
        return lines

    def save(self, trainer: Trainer, loss: float | None = None) -> None:
        """Save the trainer's state as a checkpoint, with the validation loss if it is given.

        All ranks call this method.
        """
        arrays, meta = trainer.state()
        if self.writes:
            self.checkpoints.save(trainer.steps_done, arrays, meta, loss)

    def latest(self, world: Communicator | None = None) -> tuple[Path, dict[str, np.ndarray], dict[str, Any]]:
        """Returns the path, arrays and metadata of the last checkpoint. All ranks of `world` call this
        method and read the same checkpoint.

        A training may save a checkpoint at the same time. So rank 0 chooses the file, and all ranks compare
        checksums afterwards. Raises CheckpointError if there is no checkpoint, or if the last checkpoint is
        damaged or does not belong to a run. This method never returns an older checkpoint instead, because
        the later steps would be lost.
        """
        path = self.checkpoints.latest()
        if world is not None:
            chosen = one_choice(world, "" if path is None else path.name, "checkpoint")
            path = self.checkpoints.folder / chosen if chosen else None
        if path is None:
            raise CheckpointError(f"{self.folder} holds no checkpoint; train one with: minipar train --out "
                                  f"{self.folder}")
        try:
            arrays, meta = load(path, lambda meta, declared: require_run(meta, declared, path))
            require_sound(arrays, path)
        except CheckpointError as error:
            if isinstance(error.__cause__, OSError):                # the file may be intact
                raise
            raise CheckpointError(f"{error} (move this file away to use the checkpoint before it)") from error
        if world is not None and not same_everywhere(world, fingerprint(arrays, meta), "what was read"):
            raise CheckpointError(f"{path} was replaced while the ranks read it, so they hold weights of two "
                                  "trainings; try again")
        return path, arrays, meta

    def model(self) -> tuple[GPT, Tokenizer]:
        """Returns the model of the last checkpoint, and its tokenizer."""
        _, arrays, meta = self.latest()
        model = GPT(ModelConfig(**meta["model"]), dtype=meta["train"]["dtype"])
        model.load_state_dict(_weights(arrays))
        return model, tokenizer_from_dict(meta["tokenizer"])

    def stages(self, grid: Grid) -> tuple[Stages, Tokenizer]:
        """Returns this rank's stages of the last checkpoint's model, for generation, and its tokenizer.

        All ranks call this method.
        """
        _, arrays, meta = self.latest(grid.world)
        stages = stages_of(ModelConfig(**meta["model"]), _weights(arrays), grid)
        return stages, tokenizer_from_dict(meta["tokenizer"])

    def _write(self, name: str, text: str) -> None:
        with replacing(self.folder / name) as file:
            file.write(text.encode(errors="backslashreplace"))      # a folder's name may not be UTF-8


def options_of(trainer: Trainer, trace: bool = False) -> dict[str, Any]:
    """Returns the content of config.json: all options of the run."""
    return {"model": asdict(trainer.model), "train": asdict(trainer.config),
            "layout": asdict(trainer.grid.layout), "trace": trace}


def _weights(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix("weights/"): array for name, array in arrays.items()
            if name.startswith("weights/")}


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the lines of a metrics.jsonl in order. Invalid lines are left out, such as a line that a kill or
    a full disk truncated.

    Raises CheckpointError for a pipe, a device, or a file of more than LARGEST_METRICS bytes.
    """
    for line in lines_of(path, LARGEST_METRICS):
        values = _metrics(line, path)
        if values is not None:
            yield values


def lines_of(path: Path, most: int) -> Iterator[bytes]:
    """Yields the lines of a log of at most `most` bytes, in pieces of at most LONGEST_LINE bytes. A missing
    file has no lines.

    Raises CheckpointError for a pipe, a device, or a larger file.
    """
    try:
        with opened(path, most, CheckpointError) as file:
            while line := file.readline(LONGEST_LINE):
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


def _metrics(line: bytes, path: Path) -> dict[str, Any] | None:
    """Returns the values of a complete line; a value is a number or None. Returns None for an invalid line.
    """
    if not line.endswith(b"\n"):
        return None
    try:
        values = parse_json(line, path, CheckpointError)
    except CheckpointError:
        return None
    if not isinstance(values, dict) or not is_whole(values.get("step")):
        return None
    return values if all(value is None or isinstance(value, bool) or is_number(value)
                         for value in values.values()) else None
