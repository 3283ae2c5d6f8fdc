"""What both the layout and the reference compute wrongly is found by the definitions and by differences of
the loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipar.autograd import fused
from minipar.autograd.fused import attention
from minipar.config import Layout
from minipar.data.batches import EvaluationBatches
from minipar.inference import sampling
from minipar.nn import Dropout
from minipar.nn import dropout as dropout_layer
from minipar.optim import optimizers
from minipar.parallel.codes import CODES
from minipar.parallel.pipeline import MicroBatch
from minipar.precision import LossScale, formats
from minipar.proof import definitions, uneven_case
from minipar.proof.definitions import wrong_definition
from minipar.proof.derivatives import wrong_derivative
from minipar.training import trainer as train

SMALL = dict(layers=1, context=5)


@pytest.mark.parametrize("values", [{}, {"dropout": 0.2}, {"dtype": "float32"}, {"tied": False, "bias": False},
                                    {"heads": 3, "width": 3, "layers": 3}, {"heads": 2, "width": 4, "seed": 2}])
def test_the_right_program_has_the_derivatives_of_its_loss(values: dict[str, Any]) -> None:
    assert wrong_derivative(uneven_case(Layout(dp=2), **SMALL | values)) == ""


def test_the_right_program_follows_its_definitions() -> None:
    assert wrong_definition() == ""


def test_a_wrong_derivative_names_a_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "row_dot", lambda a, b: np.zeros(a.shape[:-1]))
    assert "gradient of " in wrong_derivative(uneven_case(Layout(dp=2), **SMALL))


def _short(op: Any) -> Any:
    return lambda *arguments: op(*arguments) * 0.999


def _wrong_step(optimizer: Any, runs: Any, lr: float) -> None:
    for run in runs:
        run.weights[: optimizers.BLOCK] -= lr * run.gradient[: optimizers.BLOCK]


def _always_dropped(inputs: np.ndarray, targets: np.ndarray, dropout: Dropout) -> MicroBatch:
    return MicroBatch(inputs, targets, Dropout(0.5, 0, 0, np.arange(len(inputs))))


FIRST = next(iter(EvaluationBatches(np.arange(9), 4, 1)))
SHORT_SCALE = CODES["int8"]._replace(scale=lambda values: np.abs(values).max() / 128)
WRONG = [  # (an object, its attribute, the wrong value, the words of the finding)
    (fused, "layernorm", _short(fused.layernorm), "layernorm"),
    (fused, "cross_entropy", _short(fused.cross_entropy), "cross-entropy"),
    (attention, "row_dot", lambda a, b: np.zeros(a.shape[:-1]), "gradient of attention"),
    (optimizers.Optimizer, "step_on", _wrong_step, "optimiser sgd"),
    (optimizers.AdamW, "update", optimizers.Adam.update, "optimiser adamw"),
    (definitions, "clip", lambda gradient, norm, limit: None, "clipping"),
    (definitions, "cosine", lambda peak, floor, steps: lambda step: peak, "warm-up and cosine"),
    (LossScale, "update", lambda scale, finite: finite, "loss scale"),
    (EvaluationBatches, "__iter__", lambda batches: iter([FIRST]), "windows of the validation text"),
    (dropout_layer, "dropout", lambda x, kept, rate: x * kept.astype(float), "dropout layer"),
    (train, "MicroBatch", _always_dropped, "validation loss"),
    (sampling, "_nucleus", lambda likely, top_p: likely >= likely.max(), "sampling with top_k=0, top_p=0.6"),
    (definitions, "CODES", {**CODES, "int8": SHORT_SCALE}, "code int8"),
    (formats, "_ROUND", {**formats._ROUND, "bfloat16": np.copy}, "rounding to bfloat16"),
]


@pytest.mark.parametrize("owner, name, value, said", WRONG, ids=[one[-1] for one in WRONG])
def test_code_that_differs_from_its_definition_is_named(owner: Any, name: str, value: Any, said: str,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, value)
    assert wrong_definition().startswith(said)
