"""The ledger held against what is really allocated: state and tape to the byte, a step's peak between two
bounds.
"""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from minipar.lessons.support.allocation import allocation

from minipar.autograd import Tensor
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.config import GPT2, Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import ByteTokenizer
from minipar.errors import LayoutError
from minipar.nn import GPT, NO_DROPOUT, Dropout
from minipar.nn.counts import computed_pairs, every_pair, parameter_count
from minipar.optim import OPTIMIZERS, Flat
from minipar.optim.optimizers import BLOCK
from minipar.parallel import Grid
from minipar.parallel.tensor import region_of
from minipar.plan.activations import published, tape
from minipar.plan.memory import (
    FLOAT32_ADAM,
    MIXED_ADAM,
    SLOTS,
    MemoryLedger,
    PrecisionRecipe,
    state,
    training_memory,
)
from minipar.plan.parameters import count, rank_shapes
from minipar.rng import stream
from minipar.training.trainer import Trainer
from tests.ranks import ranks

# more tokens than one block of queries
SMALL = ModelConfig(vocabulary=65, context=80, layers=2, heads=3, width=12)
MODELS = [SMALL, ModelConfig(17, 9, 3, 2, 8, hidden=20, tied=False), ModelConfig(7, 70, 1, 1, 5, bias=False),
          ModelConfig(7, 8, 2, 5, 5, hidden=3, dropout=0.1),
          ModelConfig(9, 65, 2, 3, 6, bias=False, dropout=0.2)]
WORDS = stream(0, "words").integers(0, 7, 2000)


def forward(model: GPT, samples: int) -> Tensor:
    """A loss, and the tape behind it."""
    c = model.config
    text = np.resize(WORDS, (samples, c.context + 1))
    dropout = Dropout(c.dropout, 0, 0, np.arange(samples)) if c.dropout else NO_DROPOUT
    return model.loss(text[:, :-1], text[:, 1:], dropout=dropout)


@pytest.mark.parametrize("samples, dtype", [(1, "float32"), (3, "float64")])
@pytest.mark.parametrize("config", MODELS, ids=str)
def test_the_tape_is_as_predicted_to_the_byte(config: ModelConfig, samples: int, dtype: str) -> None:
    model = GPT(config, dtype=dtype)
    forward(model, samples)  # what is made once and kept: masks, vectors of ones
    with allocation() as used:
        loss = forward(model, samples)
        assert used.now == sum(tape(config, samples, loss.dtype.itemsize, computed_pairs).values())


def test_an_array_more_would_be_seen() -> None:
    model = GPT(SMALL)
    forward(model, 2)
    with allocation() as used:
        loss = forward(model, 2)
        exact = used.now
        more = np.ones((2, 80, 12), np.float32)
        assert used.now - exact == more.nbytes and loss.node


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("tp", [2, 3])
def test_the_tapes_of_tensor_parallel_ranks(tp: int, sequence: bool) -> None:
    """All ranks are threads of this process: when they have ended, their tapes are left, and the weights
    these lead to.
    """
    config = ModelConfig(vocabulary=7, context=9, layers=2, heads=5, width=10, hidden=11, dropout=0.1)

    def on_rank(comm: Communicator) -> Tensor:
        return forward(GPT(config, region=region_of(comm, config.context, sequence)), 2)

    run(tp, on_rank)
    with allocation() as used:
        losses = run(tp, on_rank)
        alive = used.now
    assert alive == sum(sum(tape(config, 2, 4, computed_pairs, tp=tp, rank=r,
                                 sequence_parallel=sequence).values())
                        + 4 * count(rank_shapes(config, tp, r))
                        for r in range(tp)) and all(loss.node for loss in losses)


@pytest.mark.parametrize("optimizer", SLOTS)
def test_a_training_is_as_predicted_to_the_byte(optimizer: str) -> None:
    """Weights, gradients, optimiser and tape together. Only the optimiser's scratch space is beside the
    ledger.
    """
    train = TrainConfig(batch=5, micro_batches=2, optimizer=optimizer)
    forward(GPT(SMALL), 3)
    with allocation() as used:
        model = GPT(SMALL)
        flat = Flat(model.parameters())
        stepper = OPTIMIZERS[optimizer](flat)
        loss = forward(model, 3)                                    # the larger of the two micro-batches
        scratch = 4 * min(BLOCK, flat.data.size)
        assert used.now - scratch == training_memory(SMALL, train, Layout(), 0, computed_pairs).total
    assert loss.node and stepper.steps == 0


@ranks(2, 4, 6, mpi=[4])
def test_state_on_every_rank(comm: Communicator) -> None:
    config = ModelConfig(vocabulary=11, context=9, layers=2, heads=5, width=10, hidden=11)
    for tp in (t for t in (1, 2, 3) if comm.size % t == 0):
        layout, train = Layout(dp=comm.size // tp, tp=tp), TrainConfig(batch=7, dtype="float64")
        trainer = Trainer(config, train, ByteTokenizer(), WORDS, Grid(comm, layout))
        memory = training_memory(config, train, layout, comm.rank, computed_pairs)
        assert memory.weights == trainer.flat.data.nbytes and memory.gradients == trainer.flat.grad.nbytes
        assert memory.optimizer == sum(buffer.nbytes for buffer in trainer.optimizer.state.values())


@pytest.mark.parametrize("config", [ModelConfig(65, 64, 4, 4, 128), ModelConfig(256, 128, 2, 4, 64),
                                    ModelConfig(65, 96, 3, 3, 96, dropout=0.1)], ids=str)
def test_the_peak_of_a_step(config: ModelConfig) -> None:
    """The ledger leaves out what lives for a moment only: gradients of activations, logits, the optimiser's
    scratch space.
    """
    train = TrainConfig(batch=8)
    with allocation() as used:
        trainer = Trainer(config, train, ByteTokenizer(), WORDS, Grid(solo(), Layout()))
        trainer.step()
        used.forget_peak()
        trainer.step()
        peak = used.peak
    ledger = training_memory(config, train, Layout(), 0, computed_pairs).total
    assert ledger < peak < 1.25 * ledger


def test_published_formula() -> None:
    """Korthikanti et al., table 2: s b h (34 + 5 a s / h), with tensor parallelism (10 + 24/t + 5 a s/(h t)),
    with both /t.
    """
    L, D, a, T, b = 3, 96, 6, 50, 2
    assert published(L, D, a, T, b) == L * T * b * (34 * D + 5 * a * T)
    assert published(L, D, a, T, b, tp=4) == L * T * b * (10 * D + 6 * D + Fraction(5 * a * T, 4))
    assert published(L, D, a, T, b, tp=4, sequence_parallel=True) == published(L, D, a, T, b) / 4
    assert published(L, D, a, T, b, itemsize=4) == 2 * published(L, D, a, T, b)
    with pytest.raises(LayoutError, match="does nothing"):
        published(L, D, a, T, b, sequence_parallel=True)


def per_token(config: ModelConfig, pairs: Callable[[int], int] = every_pair) -> dict[str, Fraction]:
    """Bytes of the tape per layer and per D of a token: the difference of one layer, so that both ends fall
    out.
    """
    more = ModelConfig(**{**vars(config), "layers": config.layers + 1})
    one, other = (tape(c, 1, 4, pairs) for c in (config, more))
    return {kind: Fraction(other[kind] - one[kind], config.context * config.width) for kind in one}


def test_the_table_of_both_formulas() -> None:
    """What the module says of its own: 8 + 8 + 12 + 4 + 16 + 16 bytes of D, and 4 H pairs / D."""
    D, H, T = 64, 4, 32
    here = per_token(ModelConfig(vocabulary=5, context=T, layers=1, heads=H, width=D))
    assert here["norms"] == 8 + Fraction(8, D) and here["inputs"] == 8                # 8 / D: the deviations
    assert (here["qkv"], here["attended"], here["hidden"], here["logits"],  # type: ignore[comparison-overlap]
            here["tokens"]) == (12, 4, 32, 0, 0)
    assert here["scores"] == Fraction(4 * H * (T + 1), D)
    assert per_token(ModelConfig(vocabulary=5, context=T, layers=1, heads=H, width=D,
                                 dropout=0.1))["masks"] == 8


def test_zero_by_its_paper() -> None:
    """Rajbhandari et al. 2020, figure 1: 7.5 billion weights over 64 ranks."""
    N, GB = 7_500_000_000, 1e9
    assert [round(state(N, MIXED_ADAM, zero=stage, dp=64).total / GB, 2)
            for stage in range(4)] == [120, 31.41, 16.64, 1.88]
    assert state(N, MIXED_ADAM, dp=2) == state(N, MIXED_ADAM, dp=512), "plain data parallelism shares nothing"
    assert state(N, MIXED_ADAM, parts=64).total == state(N, MIXED_ADAM, zero=3, dp=64).total
    assert MIXED_ADAM.total == FLOAT32_ADAM.total == 16


def test_shares_that_do_not_divide() -> None:
    # 5 of 10, 2 of 5
    assert state(10, PrecisionRecipe(1, 10, 100), zero=3, dp=3, parts=2) == MemoryLedger(2, 20, 200)
    assert state(10, PrecisionRecipe(1, 10, 100), zero=2, dp=3, parts=2) == MemoryLedger(5, 20, 200)
    assert state(10, PrecisionRecipe(1, 10, 100), zero=1, dp=3, parts=2) == MemoryLedger(5, 50, 200)
    with pytest.raises(LayoutError, match="zero is 4"):
        state(10, MIXED_ADAM, zero=4)


def test_counts_agree() -> None:
    assert count(rank_shapes(GPT2)) == parameter_count(GPT2)


def test_layouts_that_the_ledger_does_not_know() -> None:
    with pytest.raises(LayoutError, match="choose cp=1"):
        training_memory(SMALL, TrainConfig(), Layout(cp=2), 0, every_pair)
