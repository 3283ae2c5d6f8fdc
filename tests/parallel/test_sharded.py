"""ZeRO holds what the ledger says, repeats its definition, and goes on from the checkpoint of any other
layout.

That every layout trains like one process is in tests/proof/test_sharding.py.
"""

from __future__ import annotations

import tracemalloc
from types import MethodType
from typing import Any

import numpy as np
import pytest
from minipar.lessons.support.allocation import allocation

from minipar.autograd import Tensor, backward, record
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network
from minipar.compress.prune import Mask, Masked
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import ConfigError, DivergenceError, LayoutError
from minipar.nn import GPT, Block
from minipar.nn.counts import computed_pairs, parameter_count
from minipar.optim import AdamW, Flat, ParameterStore
from minipar.optim.optimizers import BLOCK
from minipar.parallel import Grid, sharded_units
from minipar.parallel.gather_step_scatter import GatherStepScatter
from minipar.parallel.stages import Stages, parts_of
from minipar.parallel.tensor import region_of
from minipar.plan.memory import training_memory
from minipar.proof.case import make_trainer, text_of, uneven_case
from minipar.proof.saved import to_all_ranks
from minipar.rng import stream
from minipar.training.build import build_store
from minipar.training.state import TrainingState
from minipar.training.trainer import Trainer
from tests.ranks import ranks

MODEL = ModelConfig(vocabulary=11, context=5, layers=3, heads=2, width=6, hidden=7)
STAGES = (1, 2, 3)


def trainer_on(comm: Communicator, layout: Layout, **values: Any) -> Trainer:
    """A trainer on an uneven case: nothing divides."""
    case = uneven_case(layout, **dict(layers=3, context=9) | values)
    grid = Grid(comm, layout)
    region = region_of(grid.tp, case.model.context, layout.sequence_parallel)
    return make_trainer(case, "AdamW", grid, region)


@ranks(2, 5, mpi=[2])
@pytest.mark.parametrize("zero", STAGES)
def test_a_stage_does_what_its_definition_does(comm: Communicator, zero: int) -> None:
    """Gather everything, step, scatter: the same weights and state, to rounding. eps is large, since the
    gradient of the keys' biases is only rounding error.
    """
    def make(weights: ParameterStore) -> AdamW:
        return AdamW(weights, eps=1e-3)

    def gradient(model: GPT, step: int) -> None:
        text = stream(comm.rank, "text", step).integers(0, 11, (2, 6))
        backward(model.loss(text[:, :-1], text[:, 1:], count=10 * comm.size))

    plain = GPT(MODEL, dtype="float64")
    definition = GatherStepScatter(Flat(plain.parameters()), make, comm)
    layout = Layout(dp=comm.size, zero=zero)
    stages = Stages(MODEL, parts_of(3, 1), (0,), Grid(comm, layout), region_of(solo(), 5, False), seed=0,
                    dtype="float64")
    store, reducer = build_store(layout, stages, comm)
    optimizer = make(store)
    for step in range(3):
        definition.flat.zero_grad()
        gradient(plain, step)
        definition.step(0.1)
        store.zero_grad()
        gradient(stages.models[0], step)
        stages.models[0].units.end()
        assert reducer is not None
        reducer.finish()
        optimizer.step(0.1)
        reducer.updated()
    definition.gather()
    pairs = [(store.weights_by_name(), definition.flat.weights_by_name())]
    pairs += [(store.state_by_name(optimizer.state[slot]), definition.flat.by_name(state))
              for slot, state in definition.optimizer.state.items()]
    for got, want in pairs:
        for name, array in want.items():
            np.testing.assert_allclose(got[name], array, rtol=0, atol=1e-13 * abs(array).max(), err_msg=name)
    assert sum(array.size for array in optimizer.state.values()) < 2 * parameter_count(MODEL)


LAYOUTS = [Layout(dp=2, tp=2, zero=1), Layout(dp=3, zero=2), Layout(dp=3, pp=2, zero=2),
           Layout(dp=5, zero=3), Layout(dp=2, tp=2, pp=2, zero=3),
           Layout(dp=2, pp=2, zero=3, reshard_after_forward=False)]


def test_registered_buffers_are_the_ledger_to_the_byte() -> None:
    """Weights, gradients, state and gathered units of every rank; and a shard is not the whole."""
    for layout in LAYOUTS:
        case = uneven_case(layout, layers=5, context=9, micro_batches=1)

        def held(comm: Communicator, layout: Layout = layout) -> dict[str, int]:
            trainer = trainer_on(comm, layout, layers=5, micro_batches=1)
            state = sum(array.nbytes for array in trainer.optimizer.state.values())
            return {**trainer.store.held(), "optimizer": state}

        train = case.config("AdamW")
        for rank, bytes_held in enumerate(run(layout.ranks, held, checked=False)):
            ledger = training_memory(case.model, train, layout, rank, computed_pairs)
            assert bytes_held == {line: getattr(ledger, line) for line in bytes_held}, (layout, rank)
            plain = training_memory(case.model, train, Layout(layout.dp, layout.pp, 1, layout.tp), rank,
                                    computed_pairs)
            assert [ledger.optimizer < plain.optimizer, ledger.gradients < plain.gradients,
                    ledger.weights < plain.weights] == [layout.zero >= stage for stage in STAGES]


@pytest.mark.parametrize("layout", [Layout(dp=2, zero=1), Layout(dp=2, zero=2), Layout(dp=2, zero=3)])
def test_the_peak_of_a_step_is_within_5_percent_of_the_ledger(layout: Layout) -> None:
    """Of the arrays of all ranks, which are threads of this process. Beside the ledger are the optimiser's
    scratch space and other Python objects, both at rest.
    """
    model = ModelConfig(vocabulary=7, context=32, layers=24, heads=2, width=64)
    train = TrainConfig(batch=2, micro_batches=1, warm_up=1)
    at_rest: list[int] = []

    def on_rank(comm: Communicator) -> None:
        trainer = Trainer(model, train, *text_of(model.vocabulary), Grid(comm, layout))
        trainer.step()                                              # what is made once and kept
        comm.barrier(label="before the step")
        if comm.rank == 0:
            at_rest.extend((used.now, tracemalloc.get_traced_memory()[0]))
        comm.barrier(label="measured")
        used.forget_peak()
        comm.barrier(label="forgotten")
        trainer.step()

    with allocation() as used:
        before = tracemalloc.get_traced_memory()[0]
        run(layout.ranks, on_rank, checked=False)
        peak = used.peak
    ledgers = [training_memory(model, train, layout, rank, computed_pairs) for rank in range(layout.ranks)]
    resting = sum(ledger.total - ledger.activations for ledger in ledgers)
    scratch = sum(min(4 * BLOCK, ledger.optimizer // 2) for ledger in ledgers)
    arrays, everything = at_rest
    assert arrays == pytest.approx(resting + scratch, rel=0.001)
    total = sum(ledger.total for ledger in ledgers)
    assert resting + peak - (everything - before) == pytest.approx(total, rel=0.05)


SAVED = [Layout(), Layout(dp=2, zero=1), Layout(dp=3, tp=2, zero=2), Layout(dp=2, pp=2, zero=3),
         Layout(dp=5, zero=3, reshard_after_forward=False), Layout(tp=2, pp=2)]


def test_a_checkpoint_of_any_stage_resumes_any_other() -> None:
    """Also over another number of ranks: what is restored is equal in bits, and so are the arrays that it
    saves.
    """
    sizes = dict(batch=8, heads=6)
    def saved(comm: Communicator, layout: Layout) -> TrainingState:
        trainer = trainer_on(comm, layout, **sizes)
        trainer.step()
        return to_all_ranks(comm, trainer.state())

    def resumed(comm: Communicator, layout: Layout, state: TrainingState) -> tuple[TrainingState, float]:
        trainer = trainer_on(comm, layout, **sizes)
        trainer.restore(*state, where="memory")
        again = to_all_ranks(comm, trainer.state())
        return again, trainer.step().loss

    states = [run(layout.ranks, saved, layout, checked=False)[0] for layout in SAVED]
    for number, layout in enumerate(SAVED):
        arrays, meta = states[number - 1]
        (again, after), loss = run(layout.ranks, resumed, layout, (arrays, meta), checked=False)[-1]
        assert again.keys() == arrays.keys() and after["done"] == meta["done"] == 1
        assert all(again[name].tobytes() == array.tobytes() for name, array in arrays.items()), layout
        assert loss == pytest.approx(run(1, resumed, SAVED[0], (arrays, meta))[0][1], rel=1e-13)


@pytest.mark.parametrize("values, facts", [
    (dict(zero=4), "zero is 4"), (dict(zero=-1), "zero is -1"),
    (dict(zero=1, gradients="bitwise"), "bitwise"), (dict(zero=3, gradients="buckets"), "buckets"),
    (dict(zero=2, reshard_after_forward=False), "reshard_after_forward")])
def test_a_stage_that_cannot_be_is_one_line(values: dict[str, Any], facts: str) -> None:
    with pytest.raises(LayoutError, match=facts) as error:
        Layout(dp=2, **values)
    assert "\n" not in str(error.value) and "choose" in str(error.value)


def test_fewer_elements_than_ranks_is_one_line() -> None:
    model = ModelConfig(vocabulary=2, context=1, layers=1, heads=1, width=1, hidden=1, bias=False)
    dp = parameter_count(model) + 1

    def build(comm: Communicator) -> None:
        Trainer(model, TrainConfig(batch=dp), *text_of(2), Grid(comm, Layout(dp=dp, zero=2)))

    with pytest.raises(LayoutError, match=f"{dp - 1} elements over dp={dp}"):
        run(dp, build, checked=False)


def test_a_mask_needs_whole_weights() -> None:
    def build(comm: Communicator) -> None:
        Masked(trainer_on(comm, Layout(dp=2, zero=1)).optimizer, Mask({}))

    with pytest.raises(ConfigError, match="zero=0"):
        run(2, build)


@pytest.mark.parametrize("layout", [Layout(dp=2, zero=zero) for zero in range(4)] +
                         [Layout(dp=2, pp=2, zero=3)])
def test_a_nan_is_named_where_it_arose(layout: Layout) -> None:
    """Also if its weight is in the shard of one rank, and another unit is in the buffer."""
    def diverge(comm: Communicator) -> str:
        trainer = trainer_on(comm, layout)
        weights = {name: array.copy() for name, array in trainer.store.weights_by_name().items()}
        if "blocks.1.mlp.up.weight" in weights:
            weights["blocks.1.mlp.up.weight"][-1, -1] = np.nan
        trainer.store.load_weights(weights)
        with pytest.raises(DivergenceError) as error:
            trainer.step()
        return str(error.value.facts["item"])

    assert set(run(layout.ranks, diverge, checked=False)) == {"the weights blocks.1.mlp.up.weight"}


@pytest.mark.parametrize("dp", [2, 3])
def test_prefetching_hides_messages_behind_computing(dp: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the clock, where a block takes as long as the messages that gather it: one unit ahead hides nearly
    all gathers, and none ahead hides none.
    """
    model = ModelConfig(vocabulary=7, context=8, layers=12, heads=2, width=8)
    train = TrainConfig(batch=2 * dp, warm_up=1)
    forward = Block.forward

    def seconds(comm: Communicator) -> float:
        clock = Clock(comm, Network(alpha=1e-6, beta=1e-9), 1e9)

        def block(self: Block, x: Tensor, *others: Any) -> Tensor:
            y = forward(self, x, *others)
            clock.compute(5000, "forward")                          # 5 microseconds

            def vjp(g: np.ndarray) -> tuple[np.ndarray]:
                clock.compute(10000, "backward")
                return (g,)
            return record(y.data, (y,), vjp)

        trainer = Trainer(model, train, *text_of(7), Grid(clock, Layout(dp=dp, zero=3)))
        for one in trainer.stages.models[0].blocks:
            one.forward = MethodType(block, one)                    # type: ignore[method-assign]
        clock.restart()
        trainer.step()
        return float(clock.now)

    ahead = max(run(dp, seconds, checked=False))
    monkeypatch.setattr(sharded_units, "AHEAD", 0)
    none = max(run(dp, seconds, checked=False))
    assert ahead < 0.8 * none
