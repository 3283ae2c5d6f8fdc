"""What travels in tensor parallelism, listed by hand: activations once each way per pair of layers, and no
weight ever.
"""

from __future__ import annotations

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import Layout
from minipar.plan.amounts import SentTotals
from minipar.proof import uneven_case
from minipar.proof.case import STEPS
from minipar.proof.runs import run_rank
from minipar.proof.traffic import sent_by_rank, traffic_of
from tests.proof.proofs import SMALL

PIECES = 3
# leaves with, entered with
PAIRS = [("tokens", "tokens"), ("attention.out", "attention.qkv"), ("mlp.down", "mlp.up")]


def label_of(layer: str) -> str:
    return layer if layer == "tokens" else f"blocks.0.{layer}"


def test_one_all_reduce_forward_and_one_backward_per_pair_and_no_weight() -> None:
    case = uneven_case(Layout(tp=2), micro_batches=PIECES, **SMALL)
    sent = run(2, lambda world: run_rank(world, case, "SGD").sent)[0]
    tp = {label: (op, one.calls) for (group, op, label), one in sent.items() if group == "tp"}
    expected = {f"{label_of(leaves)} forward": ("all_reduce sum", PIECES * STEPS) for leaves, _ in PAIRS}
    expected |= {f"{label_of(enters)} backward": ("all_reduce sum", PIECES * STEPS) for _, enters in PAIRS}
    expected |= {"loss max": ("all_reduce max", PIECES * STEPS),
                 "loss sums": ("all_reduce sum", PIECES * STEPS)}
    assert tp == expected | {"gradient norm": ("all_reduce sum", STEPS)}
    # on two ranks an all-reduce sends each element once
    tokens = case.train.batch * case.model.context * STEPS
    activations = [one for (group, _, label), one in sent.items() if group == "tp"
                   and label.endswith(("forward", "backward"))]
    assert all(one.bytes == tokens * case.model.width * 8 for one in activations)


def test_a_rank_that_sends_more_than_predicted_is_named() -> None:
    case = uneven_case(Layout(dp=2), **SMALL)
    ranks = run(2, lambda world: sent_by_rank(case, run_rank(world, case, "SGD")))
    dp, _, tp, *_ = traffic_of(ranks)
    assert dp.proven and tp.proven and dp.messages == dp.predicted_messages > 0 == tp.messages
    other = uneven_case(Layout(dp=2), **SMALL, hidden=38)  # the formulas are asked about another model
    dp, *_ = traffic_of(run(2, lambda world: sent_by_rank(other, run_rank(world, case, "SGD"))))
    assert not dp.proven and dp.bytes < dp.predicted_bytes
    assert dp.wrong.startswith("dp, all_reduce sum, gradients: predicted 3 call(s)") and dp.wrong.endswith(
        ", on rank 0"
    )


def test_a_message_on_no_axis_is_named_too() -> None:
    case = uneven_case(Layout(dp=2), **SMALL)

    def stray(world: Communicator) -> dict:
        run_of_rank = run_rank(world, case, "SGD")
        run_of_rank.sent["world", "all_reduce sum", "stray"] = SentTotals(1, 1, 8)
        return sent_by_rank(case, run_of_rank)

    *axes, other = traffic_of(run(2, stray))
    assert all(axis.proven for axis in axes) and not other.proven
    assert other.wrong.startswith("other, all_reduce sum, stray: predicted 0 call(s)")
