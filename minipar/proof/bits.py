"""The items that must be bitwise equal: those whose sums the layout computes in the same order as the
reference.

Floating-point addition is not associative, so all other items are equal only within a tolerance. Each stage
of a pipeline sums the gradients of its own weights, micro-batch after micro-batch: no order changes. But a
tied table is used at both ends of the model, and the norm of the gradient is a sum over ranks, so a tied
gradient and all clipped values can differ.
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
    """The items of a record that must be equal in every bit."""
    layout, train = case.layout, case.train
    bitwise = layout.gradients == "bitwise"
    schedule = find_schedule(layout.pipeline, layout.pp, 1 if bitwise else train.micro_batches,
                             layout.virtual or None)
    # ZeRO adds shards, micro-batch by micro-batch
    if layout.zero or layout.gradients in COMPRESSED:
        return ALWAYS
    same = layout.tp == 1 and (bitwise or case.serial and layout.dp == 1)
    if not same or schedule.stages > 1 and (case.model.tied or not schedule.in_order):
        return ALWAYS
    return ALWAYS + SGD + (OF_THE_NORM if layout.pp == 1 else ())
