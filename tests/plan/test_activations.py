"""What a tape holds: by walking it, by what is allocated, and by formula, to the byte; with and without
recomputation.
"""

from itertools import product
from typing import Any

import numpy as np
import pytest
from minipar.lessons.support.allocation import allocation

from minipar.autograd import Tensor, backward
from minipar.autograd.boundary import inlet
from minipar.autograd.tape_bytes import held_arrays, held_bytes
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.nn import GPT, NO_DROPOUT, Dropout, Part
from minipar.nn.counts import computed_pairs
from minipar.nn.recomputation import RECOMPUTATIONS
from minipar.parallel.tensor import region_of
from minipar.plan.activations import TapeBytes
from minipar.plan.memory import training_memory
from minipar.rng import stream

# more tokens than one block of queries
MODELS = [ModelConfig(vocabulary=65, context=80, layers=2, heads=3, width=12),
          ModelConfig(17, 9, 3, 2, 8, hidden=20, tied=False),
          ModelConfig(7, 70, 1, 1, 5, bias=False, dropout=0.2),
          ModelConfig(19, 11, 3, 6, 18, hidden=37, dropout=0.1)]
MODES = tuple(RECOMPUTATIONS)


def forward(model: GPT, samples: int) -> Tensor:
    """A stage's output for one micro-batch, and the tape behind it."""
    c, T, rng = model.config, model.config.context, stream(0, "activations")
    dropout = (Dropout(c.dropout, 0, 0, np.arange(samples)) if c.dropout
               else NO_DROPOUT).on(model.region.positions(T), T)
    x: np.ndarray | Tensor = rng.integers(0, c.vocabulary, (samples, T))
    if not model.part.first:
        positions = model.region.positions(T)
        shape = (samples, positions.stop - positions.start, c.width)
        x = inlet(rng.standard_normal(shape, model.parameters()[0].dtype), lambda g: None)
    targets = rng.integers(0, c.vocabulary, (samples, T))
    return model.loss(x, targets, dropout=dropout) if model.part.last else model(x, dropout=dropout)


def total(kinds: dict[str, int]) -> int:
    return sum(kinds.values())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("samples, dtype", [(1, "float32"), (3, "float64")])
@pytest.mark.parametrize("config", MODELS, ids=str)
def test_three_ways_to_one_number(config: ModelConfig, samples: int, dtype: str, mode: str) -> None:
    model = GPT(config, dtype=dtype, recompute=mode)
    forward(model, samples)  # what is made once and kept: masks, vectors of ones
    with allocation() as used:
        loss = forward(model, samples)
        allocated = used.now
    predicted = total(TapeBytes(config, samples, loss.dtype.itemsize, computed_pairs, recompute=mode).of())
    assert predicted == held_bytes(loss) + loss.data.nbytes
    # rows: whose masks to draw
    assert allocated == predicted + samples * (8 if config.dropout and mode == "full" else 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("tp", [2, 3])
def test_on_ranks_of_tp(tp: int, sequence: bool, mode: str) -> None:
    """Each rank walks its own tape; nothing divides, so shares differ."""
    config = MODELS[3]

    def on_rank(comm: Communicator) -> tuple[int, int]:
        loss = forward(GPT(config, region=region_of(comm, config.context, sequence), recompute=mode), 2)
        tape = TapeBytes(config, 2, 4, computed_pairs, tp, comm.rank, sequence, mode)
        return held_bytes(loss) + loss.data.nbytes, total(tape.of())

    found = run(tp, on_rank)
    assert all(held == predicted for held, predicted in found) and len(set(found)) > 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tp", [1, 2])
def test_of_every_stage(tp: int, mode: str) -> None:
    config = MODELS[1]

    def on_rank(comm: Communicator) -> None:
        region = region_of(comm, config.context, False)
        for first, last in product((True, False), (True, False)):
            for layers in (1, 2):
                out = forward(GPT(config, region=region, part=Part(first, range(layers), last),
                                  recompute=mode), 2)
                tape = TapeBytes(config, 2, 4, computed_pairs, tp, comm.rank, recompute=mode)
                assert held_bytes(out) + last * 4 == total(tape.of(layers, first,
                                                                   last)), (first, layers, last)

    run(tp, on_rank) if tp > 1 else on_rank(solo())


def test_several_micro_batches_hold_as_many_times_as_much() -> None:
    model = GPT(MODELS[0])
    losses = [forward(model, 2) for _ in range(3)]
    assert held_bytes(*losses) == 3 * held_bytes(losses[0]) == sum(array.nbytes
                                                                   for array in held_arrays(*losses))
    assert held_bytes(losses[0], losses[0]) == held_bytes(losses[0])
    backward(losses[0])
    assert held_bytes(losses[0]) == 0 and held_bytes(*losses) == 2 * held_bytes(losses[1])


def test_an_array_more_would_be_seen() -> None:
    model = GPT(MODELS[0])
    loss = forward(model, 2)
    table = Tensor(np.ones((3, 5)), requires_grad=True)
    more = loss * (table * np.ones((3, 5)))  # keeps the constant, the product and the loss
    assert held_bytes(more) == held_bytes(loss) + 2 * 15 * 8 + 4
    assert not any(array is p.data for array in held_arrays(loss) for p in model.parameters())


def peak(mode: str, in_flight: int, **part: Any) -> tuple[int, int]:
    """Measured and predicted, of a stage with so many micro-batches in flight when the first backward
    comes.
    """
    config, samples = ModelConfig(vocabulary=65, context=128, layers=4, heads=4, width=128), 8
    model = GPT(config, recompute=mode, part=Part(part.get("first", True), range(part.get("layers", 4)),
                                                  part.get("last", True)))
    gradient = np.ones((samples, 128, 128), np.float32)
    gradients = (None,) if model.part.last else (gradient,)
    backward(forward(model, samples), *gradients)  # the parameters' gradients have their place now
    with allocation() as used:
        outputs = [forward(model, samples) for _ in range(in_flight)]
        while outputs:
            backward(outputs.pop(0), *gradients)
        measured = used.peak
    boundary = 0 if model.part.last else in_flight * gradient.nbytes  # the outputs, which the test holds
    return measured - boundary, TapeBytes(config, samples, 4, computed_pairs,
                                          recompute=mode).peak(in_flight, **part)


@pytest.mark.parametrize("part", [{}, dict(layers=2, last=False), dict(layers=2, first=False, last=False)],
                         ids=str)
def test_the_measured_peak_of_a_step_is_the_formula_s(part: dict[str, Any]) -> None:
    peaks = {(mode, in_flight): peak(mode, in_flight, **part) for mode in MODES for in_flight in (2, 4)}
    for case, (measured, predicted) in peaks.items():
        assert measured == pytest.approx(predicted, rel=0.03), case
    for one, other in product(peaks, peaks):  # so are all ratios: of schedules, and of recomputation
        ratio = peaks[one][0] / peaks[other][0]
        assert ratio == pytest.approx(peaks[one][1] / peaks[other][1], rel=0.05), (one, other)


@pytest.mark.parametrize("mode", MODES)
def test_the_ledger_knows_of_recomputation(mode: str) -> None:
    layout, train = Layout(tp=2), TrainConfig(batch=5, micro_batches=2, recompute=mode)
    kept = training_memory(MODELS[3], train, layout, 1, computed_pairs).activations
    assert kept == total(TapeBytes(MODELS[3], 3, 4, computed_pairs, tp=2, rank=1, recompute=mode).of())
