"""Pruning a GPT that is cut over the ranks of tensor parallelism gives each rank its part of what one process
gets.
"""

from typing import Any

import numpy as np
import pytest

from minipar.autograd import backward, no_grad
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.compress.prune import (
    UNSHARDED,
    MagnitudePruner,
    Mask,
    Masked,
    Shards,
    drop_lowest,
    head_scores,
    linear_weights,
    magnitude_mask,
    ratio_threshold,
    shrink,
    shrink_mlp,
    strongest,
    unit_scores,
)
from minipar.config import ModelConfig
from minipar.errors import ConfigError, LayoutError, RangeError
from minipar.nn import GPT
from minipar.optim import AdamW, Flat
from minipar.parallel.tensor import TensorRegion
from minipar.rng import stream
from tests.ranks import ranks
from tests.refusals import refused

CONFIG = ModelConfig(vocabulary=13, context=8, layers=2, heads=4, width=16)
TOKENS = stream(0, "tokens").integers(0, 13, (3, 9))


def models(tp: Communicator, dtype: type = np.float32) -> tuple[GPT, GPT, Shards]:
    """The whole model, this rank's part of it, and how the parts lie."""
    whole, part = GPT(CONFIG, dtype=dtype), GPT(CONFIG, dtype=dtype, region=TensorRegion(tp))
    return whole, part, Shards(part.parameters(), lambda a, op: all_reduce(tp, a, op, label="pruning"))


def is_part(part: Mask, whole: Mask, shards: Shards) -> bool:
    own = {p.name: p.own(whole.keep[p.name]) for p in shards.parameters if p.name in whole.keep}
    return own.keys() == part.keep.keys() and all(np.array_equal(own[name], part.keep[name]) for name in own)


@ranks(2, 3, mpi=[3])
@pytest.mark.parametrize("per_layer", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mask_is_this_ranks_part_of_the_whole(comm: Communicator, per_layer: bool, dtype: type) -> None:
    whole, part, shards = models(comm, dtype)
    for ratio in (0, 0.001, 0.5, 0.8, 1):
        mask = magnitude_mask(linear_weights(part), ratio, per_layer=per_layer, shards=shards)
        assert is_part(mask, magnitude_mask(linear_weights(whole), ratio, per_layer=per_layer), shards)
        assert ratio_threshold(linear_weights(part), ratio,
                               shards=shards) == ratio_threshold(linear_weights(whole), ratio)


@ranks(2, 3, mpi=[3])
def test_ties_across_ranks_go_by_the_index_in_the_whole(comm: Communicator) -> None:
    whole, part, shards = models(comm)
    coarse = {name: np.round(w, 2) for name, w in linear_weights(whole).items()}  # some twenty values in all
    own = {p.name: p.own(coarse[p.name]) for p in shards.parameters if p.name in coarse}
    for ratio in (0.1, 0.37, 0.5, 0.93):
        assert is_part(drop_lowest(own, ratio, shards=shards), drop_lowest(coarse, ratio), shards)


@ranks(2, 3, mpi=[3])
def test_what_all_ranks_hold_whole_counts_once(comm: Communicator) -> None:
    whole, part, shards = models(comm)
    everything = {p.name: p.data for p in whole.parameters()}
    own = {p.name: p.data for p in shards.parameters}
    for ratio in (0.05, 0.5, 0.95):  # zeros and ones of biases and LayerNorm: ties, too
        assert is_part(magnitude_mask(own, ratio, shards=shards), magnitude_mask(everything, ratio), shards)


@ranks(2, mpi=[])
def test_ranks_that_do_not_add_up_disagree_with_the_whole(comm: Communicator) -> None:
    """The checks above can fail: each rank for itself is another mask."""
    whole, part, shards = models(comm)
    single_process = magnitude_mask(linear_weights(part), 0.5)
    assert not is_part(single_process, magnitude_mask(linear_weights(whole), 0.5), shards)


@ranks(2, mpi=[])
def test_an_array_that_is_no_parameter_of_the_shards_is_refused(comm: Communicator) -> None:
    """Is it the whole on every rank, or a part on each? Nobody can say."""
    _, part, shards = models(comm)
    with refused(ConfigError, "Shards", item="up"):
        magnitude_mask({"up": part.blocks[0].mlp.up.weight.data}, 0.5, shards=shards)


@ranks(3)
def test_a_nan_on_one_rank_is_refused_on_all(comm: Communicator) -> None:
    _, part, shards = models(comm)
    if comm.rank == 1:
        part.blocks[1].mlp.up.weight.data[0, 0] = np.nan
    expected = "blocks.1.mlp.up.weight" if comm.rank == 1 else "an array of another rank"
    with refused(RangeError, "NaN", item=expected):
        magnitude_mask(linear_weights(part), 0.5, shards=shards)
    with refused(RangeError, "NaN", item="blocks.1.mlp"):
        shrink(part, units=0.5, reduce=shards.reduce)


@ranks(2, 3, mpi=[3])
def test_gradual_pruning_in_training_is_that_of_one_process(comm: Communicator) -> None:
    whole, part, shards = models(comm, np.float64)
    trained = {}
    for name, model, s in (("whole", whole, UNSHARDED), ("part", part, shards)):
        flat = Flat(model.parameters())
        optimizer = Masked(AdamW(flat), Mask({}))
        pruner = MagnitudePruner(optimizer, list(linear_weights(model)), lambda step: 0.2 * step, shards=s)
        for _ in range(4):
            flat.zero_grad()
            backward(model.loss(TOKENS[:, :-1], TOKENS[:, 1:]))
            optimizer.step(1e-3)
            pruner.step()
        trained[name] = pruner.stripped()
    for p in shards.parameters:
        if p.name in trained["part"]:
            np.testing.assert_allclose(trained["part"][p.name], p.own(trained["whole"][p.name]), rtol=1e-9,
                                       atol=1e-12)
            assert np.array_equal(trained["part"][p.name] == 0, p.own(trained["whole"][p.name]) == 0)


@ranks(2, 3, mpi=[3])
def test_units_and_heads_that_go_are_those_of_one_process(comm: Communicator) -> None:
    whole, part, shards = models(comm, np.float64)
    for p in part.parameters():  # one head and some units that are clearly weaker
        if p.name == "blocks.0.attention.out.weight":
            p.data *= p.own(np.repeat([1, 0.1, 2, 1], 4)[:, None] * np.ones((1, 16)))
    whole.blocks[0].attention.out.weight.data *= np.repeat([1, 0.1, 2, 1], 4)[:, None]
    for one, other in zip(whole.blocks, part.blocks, strict=True):
        np.testing.assert_allclose(unit_scores(other.mlp, shards.reduce), unit_scores(one.mlp), rtol=1e-13)
        np.testing.assert_allclose(head_scores(other.attention, shards.reduce), head_scores(one.attention),
                                   rtol=1e-13)
    assert strongest(head_scores(part.blocks[0].attention, shards.reduce), 0.25).tolist() == [0, 2, 3]
    # of 4 heads on 3 ranks two ranks have only one
    keep: dict[str, Any] = dict(units=0.4, heads=0.25 if comm.size == 2 else 0.0)
    shrink(whole, **keep)
    shrink(part, reduce=shards.reduce, **keep)
    state = whole.state_dict()
    assert all(p.whole == state[p.name].shape
               for p in part.parameters()), "the parameters know their new whole shape"
    for p in part.parameters():
        assert np.array_equal(p.data, p.own(state[p.name])), f"{p.name} is this rank's part of the whole"
    losses = [model.loss(TOKENS[:, :-1], TOKENS[:, 1:]) for model in (whole, part)]
    for loss in losses:
        backward(loss)
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-12)
    gradients = {p.name: p.grad for p in whole.parameters()}
    for p in part.parameters():
        np.testing.assert_allclose(p.grad, p.own(gradients[p.name]), rtol=1e-9, atol=1e-14)


@ranks(2, mpi=[])
def test_a_rank_without_units_is_refused_on_all(comm: Communicator) -> None:
    _, part, shards = models(comm)
    with refused(LayoutError, "none", item="hidden units of blocks.0.mlp"):
        shrink_mlp(part.blocks[0].mlp, np.arange(5), shards.reduce)    # all of them on rank 0
    with no_grad():
        part(TOKENS[:, :-1])                                        # nothing was changed
