"""The predicted traffic of a training step, held against what Counting counts: exactly, line by line, on
every rank.
"""

import sys
from itertools import product
from typing import Any

import numpy as np
import pytest

from minipar.autograd import Tensor
from minipar.comm.collectives import select
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting, MessageTally
from minipar.config import GRADIENTS, Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import ByteTokenizer
from minipar.errors import LayoutError
from minipar.nn import GPT
from minipar.parallel import Grid, TensorRegion
from minipar.parallel.operators import reduce_from_region
from minipar.plan.amounts import SentTotals, TrafficLine, by_axis, differences
from minipar.plan.axis import Pick
from minipar.plan.collectives import ring_all_reduce
from minipar.plan.parameters import rank_shapes
from minipar.plan.traffic import step_traffic
from minipar.rng import stream
from minipar.training.trainer import Trainer
from tests.ranks import ranks
from tests.refusals import refused

# Nothing divides: 9 heads, 29 hidden units, 11 tokens over 2, 3, 4, 6 and 8 ranks; samples neither.
MODEL: dict[str, Any] = dict(vocabulary=65, context=11, layers=2, heads=9, width=18, hidden=29)
TRAIN = dict(dtype="float64")


def layouts(size: int) -> list[Layout]:
    """Every dp * tp = size, with and without sequence parallelism, with each way to sum gradients."""
    return [Layout(dp=size // tp, tp=tp, sequence_parallel=sequence, gradients=gradients)
            for tp, sequence, gradients in product(range(1, size + 1), (False, True), GRADIENTS)
            if size % tp == 0 and not (tp == 1 and sequence)]


def configs(layout: Layout, **values: Any) -> tuple[ModelConfig, TrainConfig]:
    values = {"batch": layout.dp + 1, **values}
    return (ModelConfig(**{**MODEL, **{name: value for name, value in values.items()
                                       if hasattr(ModelConfig, name)}}),
            TrainConfig(**{**TRAIN, **{name: value for name, value in values.items()
                                       if hasattr(TrainConfig, name)}}))


def trainer(comm: Communicator, layout: Layout, model: ModelConfig, train: TrainConfig, region: Any
            = None) -> Trainer:
    grid = Grid(comm, layout)
    tokens = stream(0, "traffic").integers(0, model.vocabulary, 400)
    return Trainer(model, train, ByteTokenizer(), tokens, grid, region and region(grid.tp))


def counted(comm: Communicator, layout: Layout, model: ModelConfig, train: TrainConfig,
            region: type | None = None) -> dict[tuple, MessageTally]:
    """The traffic of one step on this rank."""
    comm = Counting(comm)
    trained = trainer(comm, layout, model, train, region)
    comm.traffic.tallies.clear()
    trained.step()
    return comm.traffic.by("group", "op", "label")


def wrong(comm: Communicator, layout: Layout, model: ModelConfig, train: TrainConfig, pick: Pick = select,
          region: type | None = None, **known: Any) -> list[str]:
    """Where this rank's traffic in one step is not what the formulas say."""
    predicted = step_traffic(model, train, layout, comm.rank, pick, **known)
    return differences(predicted, counted(comm, layout, model, train, region))


# What varies from one layout to the next, so that each value meets many layouts.
VARIETY: list[dict[str, Any]] = [dict(layers=1), dict(batch=10, micro_batches=3),
                                 dict(layers=1, vocabulary=257, tied=False),
           dict(layers=1, bias=False, micro_batches=2), dict(dtype="float32", dropout=0.1, tied=False),
           dict(recompute="full", batch=10, micro_batches=2), dict(layers=1, recompute="selective")]


@ranks(1, 2, 3, 4, 6, 8, mpi=(3, 4))
def test_counted_is_predicted_on_every_layout(comm: Communicator) -> None:
    """On more than 4 ranks, every third layout: each (dp, tp) has other ways to sum gradients.
    `python -m tests.plan.test_traffic` has all of them.
    """
    check_layouts(comm, 1 if comm.size <= 4 else 3)


def check_layouts(comm: Communicator, every: int) -> None:
    for number, layout in list(enumerate(layouts(comm.size)))[::every]:
        model, train = configs(layout, **VARIETY[(number + number // len(GRADIENTS)) % len(VARIETY)])
        assert wrong(comm, layout, model, train) == [], layout


@pytest.mark.parametrize("values", VARIETY, ids=str)
def test_every_variety_on_two_by_two(values: dict[str, Any]) -> None:
    for sequence, gradients in product((False, True), ("flat", "bitwise")):
        layout = Layout(dp=2, tp=2, sequence_parallel=sequence, gradients=gradients)
        model, train = configs(layout, **values)
        assert run(4, wrong, layout, model, train) == [[]] * 4


ALGORITHMS = [("naive", "naive", "naive"), ("ring", "ring", "ring"), ("segmented", "segmented", "bruck"),
              ("halving_doubling", "halving_doubling", "recursive_doubling"), ("tree", "naive", "bruck"),
              ("recursive_doubling", "ring", "naive")]


@pytest.mark.parametrize("names", ALGORITHMS, ids="-".join)
def test_whatever_the_algorithms(names: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The formulas follow the algorithm that is picked, also one that `select` would not pick for arrays this
    small.
    """
    def pick(operation: str, nbytes: int, ranks: int, *, nodes: int = 1) -> str:
        return {"all_reduce": names[0], "reduce_scatter": names[1], "all_gather": names[2],
                "broadcast": "tree"}[operation]

    monkeypatch.setattr(sys.modules["minipar.comm.collectives.select"], "select", pick)
    for sequence, gradients in product((False, True), ("flat", "bitwise")):
        layout = Layout(dp=2, tp=3, sequence_parallel=sequence, gradients=gradients)
        model, train = configs(layout, layers=1)
        assert run(6, wrong, layout, model, train, pick) == [[]] * 6


def test_on_several_nodes_the_hierarchical_all_reduce_is_predicted_too() -> None:
    nodes = (0, 0, 0, 1, 1, 1)
    layout = Layout(dp=6)
    model, train = configs(layout, width=72, vocabulary=1500, context=3, layers=1)
    assert select("all_reduce", 2**20, 6, nodes=2) == "hierarchical", "large enough for the case"
    assert run(6, lambda comm: wrong(comm, layout, model, train, nodes=nodes), nodes=nodes) == [[]] * 6


def test_shapes_of_every_rank_are_the_model_s() -> None:
    """In the same order too: buckets are filled in it."""
    for tp, tied, bias in product((1, 2, 4, 9), (False, True), (False, True)):
        model = ModelConfig(**{**MODEL, "tied": tied, "bias": bias})

        def held(comm: Communicator, model: ModelConfig = model) -> list[tuple[str, tuple[int, ...]]]:
            return [(p.name, p.shape) for p in GPT(model, region=TensorRegion(comm)).parameters()]

        assert run(tp, held) == [list(rank_shapes(model, tp, rank).items()) for rank in range(tp)]


@pytest.mark.parametrize("limit", [1, 3000, 20000, 1 << 20])
def test_buckets_of_every_size(limit: int) -> None:
    layout = Layout(dp=3, gradients="buckets", bucket_bytes=limit)
    assert run(3, wrong, layout, *configs(layout)) == [[]] * 3


# What the formulas say.

def test_one_all_reduce_forward_and_one_backward_per_attention_and_per_mlp() -> None:
    layout = Layout(tp=3)
    model, train = configs(layout)
    for lines in run(3, lambda comm: counted(comm, layout, model, train)):
        for first, last in (("attention.qkv", "attention.out"), ("mlp.up", "mlp.down")):
            of_the_pair = {label: tally.calls for (_, op, label), tally in lines.items()
                           if f"blocks.1.{first.split('.')[0]}" in label and op == "all_reduce sum"}
            assert of_the_pair == {f"blocks.1.{first} backward": 1, f"blocks.1.{last} forward": 1}
        assert not [label for _, op, label in lines if "blocks" in label and op != "all_reduce sum"]


@pytest.mark.parametrize("sequence", [False, True])
def test_no_weight_gradient_travels_along_tp(sequence: bool) -> None:
    """Three times the hidden units, four times the vocabulary: the weights that are cut grow, what tp sends
    does not.
    """
    layout = Layout(tp=3, sequence_parallel=sequence)
    small, large = (configs(layout, hidden=hidden, vocabulary=vocabulary)
                    for hidden, vocabulary in ((29, 65), (87, 260)))
    sent = [run(3, lambda comm, configs=configs: counted(comm, layout, *configs))
            for configs in (small, large)]
    assert sent[0] == sent[1]
    sizes = [sum(np.prod(shape) for shape in rank_shapes(model, 3, 0).values())
             for model, _ in (small, large)]
    assert sizes[1] > 1.5 * sizes[0]


def test_full_recomputation_sends_half_as_much_again_from_each_block() -> None:
    """With tensor parallelism: two all-reduces forward, two backward, and the two forward once more."""
    layout = Layout(tp=3)
    plain, full = (step_traffic(*configs(layout, recompute=mode), layout, 0, select)
                   for mode in ("none", "full"))
    of_blocks = [sum(sent.bytes for line, sent in lines.items() if line.label.startswith("blocks"))
                 for lines in (plain, full)]
    assert 2 * of_blocks[1] == 3 * of_blocks[0] > 0
    rest = [{line: sent for line, sent in lines.items() if not line.label.startswith("blocks")}
            for lines in (plain, full)]
    assert rest[0] == rest[1]


def test_sequence_parallelism_moves_the_bytes_of_tensor_parallelism_on_a_ring() -> None:
    """An all-reduce is a reduce-scatter and an all-gather; only the gradients of replicated parameters come
    on top.
    """
    def ring(operation: str, nbytes: int, ranks: int, *, nodes: int) -> str:
        return "ring"

    model, train = configs(Layout(), context=12)
    tensor, sequence = (by_axis(step_traffic(model, train, Layout(tp=4, sequence_parallel=on), 0,
                                             ring))["tp"].bytes
                        for on in (False, True))
    whole, part = rank_shapes(model), rank_shapes(model, 4)
    replicated = [int(np.prod(whole[name])) for name in whole if whole[name] == part[name]]
    assert len(replicated) == 1 + 2 * 6 + 2  # positions; per block 2 norms and 2 row biases; last norm
    assert sequence - tensor == sum(8 * ring_all_reduce(4, 0, size).elements for size in replicated) > 0


# The comparison sees what it should.

class Chatty(TensorRegion):
    """Sends one message more."""

    def enter(self, x: Tensor, label: str) -> Tensor:
        if label == "blocks.1.mlp.up":
            reduce_from_region(x, self.tp, f"{label} again")
        return super().enter(x, label)


class Forgetful(TensorRegion):
    """Leaves f out."""

    def enter(self, x: Tensor, label: str) -> Tensor:
        return x


def test_a_second_run_that_was_not_announced_is_seen() -> None:
    layout = Layout(tp=2)
    announced, real = (configs(layout, recompute=mode) for mode in ("none", "full"))
    for rank, lines in enumerate(run(2, lambda comm: counted(comm, layout, *real))):
        texts = differences(step_traffic(*announced, layout, rank, select), lines)
        assert [text.split(": ")[0] for text in texts] == [
            f"tp, all_reduce sum, blocks.{n}.{layer} forward" for n in range(2)
            for layer in ("attention.out", "mlp.down")]


def test_a_planted_message_and_a_missing_one_are_seen() -> None:
    layout = Layout(dp=2, tp=2)
    model, train = configs(layout, batch=4)
    for texts in run(4, wrong, layout, model, train, select, Chatty):
        assert texts == ["tp, all_reduce sum, blocks.1.mlp.up again forward: predicted 0 call(s), 0 "
                         "message(s), 0 bytes, "
                         "counted 1 call(s), 1 message(s), 3168 bytes"]
    for texts in run(4, wrong, layout, model, train, select, Forgetful):
        assert [text.split(": ")[0] for text in texts] == [
            f"tp, all_reduce sum, {layer} backward" for layer in
            ("blocks.0.attention.qkv", "blocks.0.mlp.up", "blocks.1.attention.qkv", "blocks.1.mlp.up",
             "tokens")]


@pytest.mark.parametrize("spoilt", [SentTotals(2, 2, 16), SentTotals(1, 3, 16), SentTotals(1, 2, 17)])
def test_one_call_one_message_or_one_byte_too_many_is_a_difference(spoilt: SentTotals) -> None:
    line = TrafficLine("dp", "all_reduce sum", "loss")
    assert differences({line: SentTotals(1, 2, 16)}, {tuple(line): MessageTally(1, 2, 16)}) == []
    assert differences({line: spoilt}, {line: MessageTally(1, 2, 16)}) and differences(
        {line: SentTotals(1, 2, 16)}, {line: spoilt}
    )
    assert differences({}, {line: MessageTally(1, 2, 16)}) and differences({line: SentTotals(1, 2, 16)}, {})
    assert differences({}, {line: MessageTally(3, 0, 0)}) == []


def test_what_has_no_formula_is_refused() -> None:
    model, train = configs(Layout())
    with refused(LayoutError, "cp=1"):
        step_traffic(model, train, Layout(cp=2), 0, select)
    with pytest.raises(LayoutError, match="'native'"):
        step_traffic(model, train, Layout(dp=2), 0, lambda operation, nbytes, ranks, *, nodes: "native")


if __name__ == "__main__":
    for size in (6, 8):
        run(size, check_layouts, 1)
        print(f"the traffic of all layouts of {size} ranks is as predicted", flush=True)
