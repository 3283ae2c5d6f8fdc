"""Train a model on a text with one call, for a notebook or a script."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.text import load_text
from minipar.data.tokenizer import Tokenizer, make_tokenizer
from minipar.errors import ConfigError
from minipar.inference.generate import generate
from minipar.nn import GPT
from minipar.parallel.grid import Grid
from minipar.training.fit import FitResult, fit
from minipar.training.run_folder import RunFolder
from minipar.training.trainer import Trainer

ONE_PROCESS = Layout()


@dataclass
class TrainedModel:
    """Holds a trained GPT. Its weights are whole, even if several ranks trained it. `fit` holds the results
    of every step and validation.
    """

    model: GPT
    tokenizer: Tokenizer
    fit: FitResult

    @property
    def losses(self) -> list[float]:
        """The training loss of each step, in nats per token."""
        return [step.loss for step in self.fit.steps]

    @property
    def validation(self) -> float:
        """The last validation loss, in nats per token."""
        return list(self.fit.validations.values())[-1]

    def write(self, prompt: str, length: int = 200, *, temperature: float = 0.8, seed: int = 0) -> str:
        """Returns the prompt and `length` generated tokens.

        Raises DataError for characters that are not in the text.
        """
        written: Iterator[int] = generate(self.model, self.tokenizer.encode(prompt).tolist(),
                                          temperature=temperature, seed=seed)
        return prompt + self.tokenizer.decode(list(islice(written, length)))


def train(text: str | os.PathLike[str], *, layout: Layout = ONE_PROCESS, steps: int = 200,
          out: str | os.PathLike[str] | None = None, **options: Any) -> TrainedModel:
    """Train a GPT on `layout.ranks` threads of this process. `minipar train` trains in the same way on
    processes.

    `text` is a path to a UTF-8 file or a folder, or the text itself (a string that is not the name of a
    file). `options` are fields of ModelConfig (layers, heads, width, context, ...) and of TrainConfig (batch,
    lr, seed, ...). `out` is the folder of a new run, which receives metrics and checkpoints. If `out` is
    None, no file is written. Raises ConfigError for an unknown option, DataError for a text that is too
    short, LayoutError for a layout in which ranks have no work, and CheckpointError if `out` holds a run.

    >>> import minipar as mp
    >>> small = {"layers": 1, "heads": 1, "width": 8, "context": 8, "batch": 4, "validation_windows": 2}
    >>> trained = mp.train("to be or not to be, " * 40, layout=mp.Layout(dp=2), steps=2, **small)
    >>> len(trained.losses), trained.write("to be", 3).startswith("to be")
    (2, True)
    """
    sizes = {name: options.pop(name) for name in [f.name for f in fields(ModelConfig)] if name in options}
    known = {f.name for f in fields(TrainConfig)}
    if unknown := sorted(options.keys() - known):
        raise ConfigError(f"train has no option {', '.join(unknown)}; choose from {', '.join(sorted(known))}")
    config = TrainConfig(**{"validate_every": steps, "save_every": steps, **options, "steps": steps})
    content = _content(text)
    tokenizer = make_tokenizer(config.tokenizer, content)
    model = ModelConfig(**{**sizes, "vocabulary": tokenizer.vocab_size})
    tokens = tokenizer.encode(content)
    arrays, result = run(layout.ranks, _train_rank, model, config, tokenizer, tokens, layout, out)[0]
    whole = GPT(model, dtype=config.dtype)
    whole.load_state_dict({name.removeprefix("weights/"): a for name, a in arrays.items()
                           if name.startswith("weights/")})
    return TrainedModel(whole, tokenizer, result)


def _train_rank(comm: Communicator, model: ModelConfig, config: TrainConfig, tokenizer: Tokenizer,
                tokens: np.ndarray, layout: Layout,
                out: str | os.PathLike[str] | None) -> tuple[dict[str, np.ndarray], FitResult]:
    trainer = Trainer(model, config, tokenizer, tokens, Grid(comm, layout))
    if out is None:
        result = fit(trainer)
    else:
        with RunFolder(out, writes=comm.rank == 0) as folder:
            folder.start(trainer)
            result = fit(trainer, folder)
    return trainer.state()[0], result


def _content(text: str | os.PathLike[str]) -> str:
    """Returns the text of the file or folder, or the text itself.

    A short string without spaces that looks like a path is read as a path. If there is no such file, this
    function raises DataError.
    """
    if not isinstance(text, str) or (len(text) < 1000 and "\n" not in text and os.path.exists(text)):
        return load_text(text)
    if " " not in text and "\n" not in text and len(text) < 200 and (os.sep in text or "." in text):
        return load_text(text)                          # raises the error for a missing file
    return text
