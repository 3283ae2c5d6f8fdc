"""Selects the items (named results of a training run) that must be bitwise equal to the reference.

The reference is the same training on one process.

An item must be bitwise equal if the layout adds all its numbers in the order of the reference. Floating-point
addition is not associative, so all other items are equal only within a tolerance. Each stage of a pipeline
adds the gradients of its own weights in the order of the micro-batches, as the reference does. A tied token
table is used by the first and the last stage, so the sum of its gradient has another order. The norm of the
gradient is a sum over ranks. So with a pipeline, the norm and all values that depend on clipping can have
other bits, too.
"""

from __future__ import annotations

from minipar.config import COMPRESSED
from minipar.proof.case import Case
from minipar.schedules.find import find_schedule

ALWAYS = ("initial weights",)
SGD = ("forward", "loss", "backward", "gradients", "rates", "first update", "later gradients", "later losses",
       "SGD weights", "validation loss")
OF_THE_NORM = ("norm", "AdamW losses", "clipped norms", "AdamW weights", "AdamW state", "saved state",
               "saved numbers")


def exact_items(case: Case) -> tuple[str, ...]:
    """Returns the names of the items that must be bitwise equal."""
    layout, train = case.layout, case.train
    bitwise = layout.gradients == "bitwise"
    schedule = find_schedule(layout.pipeline, layout.pp, 1 if bitwise else train.micro_batches,
                             layout.virtual or None)
    # ZeRO sums over the ranks after each micro-batch. The reference sums in another order.
    if layout.zero or layout.gradients in COMPRESSED:
        return ALWAYS
    same = layout.tp == 1 and (bitwise or case.serial and layout.dp == 1)
    if not same or schedule.stages > 1 and (case.model.tied or not schedule.in_order):
        return ALWAYS
    return ALWAYS + SGD + (OF_THE_NORM if layout.pp == 1 else ())
