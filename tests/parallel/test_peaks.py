"""Memory of pipeline stages: micro-batches in flight times what one of them holds, walked to the byte, and as
allocated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from minipar.lessons.support.allocation import allocation

from minipar.autograd.tape_bytes import held_bytes
from minipar.comm.protocol import Communicator
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import ByteTokenizer
from minipar.nn.counts import computed_pairs
from minipar.nn.recomputation import RECOMPUTATIONS
from minipar.parallel import Grid
from minipar.parallel.pipeline import AHEAD, Around, Execution, nothing
from minipar.plan.activations import TapeBytes
from minipar.rng import stream
from minipar.schedules.closed_forms import closed_peaks
from minipar.schedules.instruction import Instruction
from minipar.training.trainer import Trainer
from tests.ranks import ranks

SCHEDULES = ("gpipe", "1f1b")
PIECES = 3                                                          # micro-batches


def stage(comm: Communicator, model: ModelConfig, samples: int, schedule: str, mode: str,
          watch: Around = nothing) -> tuple[Trainer, TapeBytes, int]:
    """A trainer, the tape of one of its micro-batches, and how many are in flight at most."""
    train = TrainConfig(batch=PIECES * samples, micro_batches=PIECES, optimizer="sgd", recompute=mode)
    tokens = stream(0, "peaks").integers(0, model.vocabulary, 4000)
    trainer = Trainer(model, train, ByteTokenizer(), tokens,
                      Grid(comm, Layout(pp=comm.size, pipeline=schedule)), watch=watch)
    return (trainer, TapeBytes(model, samples, 4, computed_pairs, recompute=mode),
            closed_peaks(schedule, comm.size, PIECES)[comm.rank])


def part(comm: Communicator, model: ModelConfig) -> tuple[int, bool, bool]:
    return model.layers // comm.size, comm.rank == 0, comm.rank == comm.size - 1


@ranks(2, 3)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("mode", RECOMPUTATIONS)
def test_tapes_hold_what_is_in_flight_to_the_byte(comm: Communicator, schedule: str, mode: str) -> None:
    seen = []

    @contextmanager
    def watch(instruction: Instruction, execution: Execution) -> Iterator[None]:
        yield
        seen.append(held_bytes(*execution.tapes.values()))

    model = ModelConfig(vocabulary=13, context=9, layers=6, heads=2, width=8, dropout=0.1)
    trainer, tape, in_flight = stage(comm, model, 2, schedule, mode, watch)
    trainer.step()
    layers, first, last = part(comm, model)
    loss = 4 if last else 0  # the formula counts its array, the tape does not hold it
    assert max(seen) == in_flight * (sum(tape.of(layers, first, last).values()) - loss)


@ranks(2, engines=["mpi"])
def test_the_allocated_peak_follows_the_formula(comm: Communicator) -> None:
    """Each rank is a process of its own here. GPipe against 1F1B, and both against recomputation."""
    model, samples = ModelConfig(vocabulary=65, context=128, layers=4, heads=4, width=192), 6
    layers, first, last = part(comm, model)
    message = 4 * samples * model.context * model.width
    measured, predicted = {}, {}
    for case in product(SCHEDULES, ("none", "full")):
        trainer, tape, in_flight = stage(comm, model, samples, *case)
        trainer.step()
        with allocation() as used:
            trainer.step()
            measured[case] = used.peak
        # when the first gradient has come, and not known to be received
        sent = 0 if last or case[0] == "gpipe" else in_flight - 1
        # or received already, where all forwards come first
        posted = 0 if last and case[0] == "gpipe" else AHEAD
        predicted[case] = tape.peak(in_flight, layers, first, last) + (sent + posted) * message
    for case in predicted:
        assert measured[case] == pytest.approx(predicted[case], rel=0.05), (case, measured, predicted)
        for other in predicted:
            ratio = predicted[case] / predicted[other]
            assert measured[case] / measured[other] == pytest.approx(ratio, rel=0.05), (
                case,
                other,
                measured,
                predicted,
            )
    if first:
        most = measured["gpipe", "none"]
        assert measured["1f1b", "none"] < 0.75 * most and measured["gpipe", "full"] < 0.4 * most
