"""Training: a global batch, its micro-batches, backward for each, one step of the optimiser.

The loss is (sum over all tokens of the global batch) / (number of those tokens). Every micro-batch divides by the same
number, so gradients of micro-batches of any sizes add up to the gradient of the batch, with no factor to correct
afterwards.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minipar.autograd import backward, cross_entropy, no_grad
from minipar.checkpoint.match import require_match
from minipar.config import ModelConfig, TrainConfig
from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.data.tokenizer import Tokenizer
from minipar.errors import CheckpointError, DivergenceError
from minipar.nn import GPT, SILENCE, Noise
from minipar.nn.diagnosis import first_nonfinite
from minipar.optim import OPTIMIZERS, Flat, Schedule, clip_by_global_norm, constant, cosine, warm_up


@dataclass(frozen=True)
class Step:
    """What one training step did. loss: nats per token; norm: of the gradient before clipping; seconds: wall-clock time."""

    step: int
    loss: float
    norm: float
    lr: float
    seconds: float
    tokens: int


class Trainer:
    """A model, its data and its optimiser, and the number of steps done.

    Raises DataError where the text is too short for the context. Everything a step does depends on (seed, step) and on the
    state that `state` returns, so a run that is restored goes on to the same bits.
    """

    def __init__(self, model: ModelConfig, train: TrainConfig, tokenizer: Tokenizer, tokens: np.ndarray):
        self.config, self.tokenizer = train, tokenizer
        self.text = hashlib.blake2b(tokens.tobytes(), digest_size=16).hexdigest()
        training, validation = split(tokens)
        self.batches = Batches(training, model.context, train.batch, train.seed)
        self.validation = EvaluationBatches(validation, model.context, train.batch, train.validation_windows)
        self.model = GPT(model, seed=train.seed, dtype=train.dtype)
        self.flat = Flat(self.model.parameters())
        self.optimizer = OPTIMIZERS[train.optimizer](self.flat, weight_decay=train.weight_decay)
        self.schedule = _schedule(train)
        self.done = 0

    @np.errstate(all="ignore")                                      # NaN and infinity are looked for below, and traced
    def step(self) -> Step:
        """One optimiser step. Raises DivergenceError, and changes no weight, where loss or gradient are not finite."""
        began, number = time.perf_counter(), self.done
        inputs, targets = self.batches.get(number)                  # [B, T]
        self.flat.zero_grad()
        loss = sum(self._micro_batch(inputs, targets, rows) for rows in self._micro_batches())
        gradient = self.flat.gradient()
        norm = clip_by_global_norm(gradient, self.config.clip or math.inf)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._diverged(f"step {number}: loss {loss:g}, gradient norm {norm:g}", inputs)
        lr = self.schedule(number)
        self.optimizer.step(lr)
        self.done += 1
        return Step(number, loss, norm, lr, time.perf_counter() - began, targets.size)

    @np.errstate(all="ignore")
    def validate(self) -> float:
        """Mean loss over the validation windows, in nats per token. Raises DivergenceError where it is not finite."""
        total, count = 0.0, 0
        with no_grad():
            for inputs, targets in self.validation:
                loss = self.model.loss(inputs, targets, count=1).item()
                if not math.isfinite(loss):
                    raise self._diverged(f"validation before step {self.done}: loss {loss:g}", inputs)
                total, count = total + loss, count + targets.size
        return total / count

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Views of the arrays, and metadata, for a checkpoint. Random numbers need none: they are keyed by seed and step.

        Raises DivergenceError where a weight is not finite: that checkpoint would be no good, and would push out one that is.
        """
        if not np.isfinite(self.flat.data).all():
            raise self._diverged(f"before step {self.done}: spoilt weights", self.batches.get(self.done)[0])
        meta = {"model": asdict(self.model.config), "train": asdict(self.config), "tokenizer": self.tokenizer.to_dict(),
                "text": self.text, "done": self.done, "optimizer_steps": self.optimizer.steps}
        return self._arrays(), meta

    def restore(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], where: object) -> None:
        """Go on from a checkpoint at `where`; dropout and all of the training's configuration may be others than there.

        Raises CheckpointError, and changes nothing, where it is of another model, optimiser or text.
        """
        own = self._arrays()
        _require_same_model(asdict(self.model.config), meta["model"], where)
        require_match(_shapes(own), _shapes(arrays), where)
        if meta["text"] != self.text:
            raise CheckpointError(f"{where} was trained on another text; give the same --data, or start a new run")
        for name, array in own.items():
            array[...] = arrays[name]
        self.done, self.optimizer.steps = meta["done"], meta["optimizer_steps"]

    def _arrays(self) -> dict[str, np.ndarray]:
        """Views of all that a step changes, by stable names."""
        weights = {f"weights/{name}": array for name, array in self.flat.by_name(self.flat.data).items()}
        return weights | {f"optimizer/{name}": array for name, array in self.optimizer.named_state().items()}

    def _micro_batches(self) -> list[np.ndarray]:
        return np.array_split(np.arange(self.config.batch), self.config.micro_batches)

    def _micro_batch(self, inputs: np.ndarray, targets: np.ndarray, rows: np.ndarray) -> float:
        rate = self.model.config.dropout
        noise = Noise(rate, self.config.seed, self.done, rows) if rate else SILENCE
        logits = self.model(inputs[rows], noise=noise)
        loss = cross_entropy(logits, targets[rows], tokens=targets.size)
        value = loss.item()
        backward(loss)
        return value

    def _diverged(self, what: str, inputs: np.ndarray) -> DivergenceError:
        """The error that says where in the model a NaN or an infinity came up first, on these inputs [B, T]."""
        place = first_nonfinite(self.model, lambda: self.model(inputs))
        spoilt = [p.name for p in reversed(self.model.parameters()) if p.grad is not None and not np.isfinite(p.grad).all()]
        place = place or (f"the gradient of {spoilt[0]}" if spoilt else "a sum, of losses or of the gradient's squares")
        return DivergenceError(f"{what}; it arose first in {place}; try a lower --lr")


def _require_same_model(own: Mapping[str, Any], saved: Mapping[str, Any], where: object) -> None:
    """Shapes alone would not do: another number of heads is another model with weights of the same shapes."""
    wrong = [f"{name} {saved.get(name)}, not {value}" for name, value in own.items()
             if name != "dropout" and saved.get(name) != value]
    if wrong:
        raise CheckpointError(f"{where} is of another model: it has {', '.join(wrong)}; "
                              f"resume with the sizes it was trained with, or start a new run")


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _schedule(config: TrainConfig) -> Schedule:
    after = max(config.steps - config.warm_up, 1)
    peak = constant(config.lr) if config.schedule == "constant" else cosine(config.lr, config.lr / 10, after)
    return warm_up(peak, config.warm_up)
