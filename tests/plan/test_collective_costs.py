"""The overhead of collectives: the planner charges every call that a training makes, and the bytes that it
copies.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from minipar.comm.collectives.select import select
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import ConfigError
from minipar.plan.collective_costs import collective_seconds, copied_bytes, tensor_overhead
from minipar.plan.groups import collective
from minipar.plan.machine import KERNELS, machine
from minipar.plan.software import MEGATRON, SOFTWARE
from minipar.plan.step_time import step_time
from minipar.plan.traffic import step_traffic

MINIPAR = SOFTWARE["minipar"]
LAPTOP = machine("laptop")
MODEL = ModelConfig(256, 16, 3, 4, 32)
TRAIN = TrainConfig(batch=8, micro_batches=4)
ONCE = ("loss", "gradient norm")  # sums of one number, once per step, which the planner leaves out


def charged(layout: Layout, model: ModelConfig = MODEL) -> float:
    """Returns the number of calls in a predicted step: on this machine a call takes a second, and nothing
    else takes time.
    """
    counting = replace(LAPTOP, call=1.0, launch=0.0, memory_rate=1e15)
    free = replace(counting, call=0.0)
    one, other = (step_time(model, TRAIN, layout, each, software=MINIPAR).total for each in (counting, free))
    return one - other


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "layout",
    [
        Layout(tp=2),
        Layout(tp=4),
        Layout(tp=2, sequence_parallel=True),
        Layout(dp=2),
        Layout(dp=2, zero=1),
        Layout(dp=2, zero=2),
        Layout(dp=2, zero=3),
        Layout(dp=2, zero=3, reshard_after_forward=False),
    ],
    ids=str,
)
def test_every_call_of_a_training_is_charged(layout: Layout, tied: bool, bias: bool) -> None:
    """`step_traffic` has the calls that a training makes, and `verify` counts them."""
    model = replace(MODEL, tied=tied, bias=bias)
    lines = step_traffic(model, TRAIN, layout, 0, select)
    made = sum(sent.calls for line, sent in lines.items() if line.label not in ONCE)
    assert charged(layout, model) == pytest.approx(made, abs=1e-6)


@pytest.mark.parametrize("p", [2, 3, 8])
def test_copied_bytes_are_those_of_the_algorithms(p: int) -> None:
    assert copied_bytes("reduce_scatter", p, 600) == pytest.approx(3 * 600 * (p - 1) / p)
    assert copied_bytes("all_gather", p, 600) == pytest.approx(2 * 600 / p)
    assert copied_bytes("all_gather", p, 600, new_array=False) == 0
    whole, replaced = (copied_bytes("all_reduce", p, 600, new_array=each) for each in (True, False))
    assert whole - replaced == 1200 and replaced == copied_bytes("reduce_scatter", p, 600)


def test_a_gpu_pays_for_the_call_and_minipar_for_copies_too() -> None:
    a100 = machine("a100-80g")
    plain = collective("reduce_scatter", 8, 1e9, 1, a100)
    group = "reduce_scatter", 8, 1e9, 1
    assert collective_seconds(*group, a100, MEGATRON, calls=3) == pytest.approx(
        plain + 3 * a100.launch / KERNELS
    )
    slow = replace(a100, call=1e-3)
    assert collective_seconds(*group, slow, MEGATRON) == pytest.approx(plain + 1e-3)
    copies = copied_bytes("reduce_scatter", 8, 1e9) / a100.memory_rate
    assert collective_seconds(*group, slow, MINIPAR) == pytest.approx(plain + 1e-3 + copies)
    assert collective_seconds("all_reduce", 1, 1e9, 1, slow, MINIPAR) == 0


def test_sequence_parallelism_copies_more() -> None:
    """One sample needs no copies for the order of the axes. Several samples need them."""
    quick = replace(LAPTOP, call=1e-9)
    whole, one, several = (
        tensor_overhead(1e6, 2, sequence, reordered, quick, MINIPAR)
        for sequence, reordered in ((False, False), (True, False), (True, True))
    )
    assert one < several and several - one == pytest.approx(6e6 / LAPTOP.memory_rate)
    assert whole == pytest.approx(3.5e6 / LAPTOP.memory_rate, rel=1e-3)


def test_the_stages_of_zero_are_in_the_order_of_their_costs() -> None:
    times = [
        step_time(MODEL, TRAIN, Layout(dp=2, zero=zero), LAPTOP, software=MINIPAR).total for zero in (1, 2, 3)
    ]
    assert times == sorted(times) and times[2] > times[0]


@pytest.mark.parametrize("call", [-1.0, 2.0, float("nan"), "slow"])
def test_an_absurd_call_is_refused(call: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(LAPTOP, call=call)
    assert caught.value.facts["item"] == "call"
