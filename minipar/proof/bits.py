"""Which items must be equal in every bit, because the layout adds up in the very order in which the reference
does?

Floating-point addition is not associative, so everything else can only be equal to so many digits. Stages of
a pipeline have their own weights and add up their own gradients, micro-batch after micro-batch: no sum
changes. But a tied table is used at both ends of the model, and the norm of the gradient is a sum over ranks,
and so is all that it clips.
"""

from __future__ import annotations

from minipar.proof.case import Case
from minipar.schedules.find import find_schedule

ALWAYS = ("initial weights",)
SGD = ("forward", "loss", "backward", "gradients", "rates", "first update", "later gradients", "later losses",
       "SGD weights", "validation loss")
OF_THE_NORM = ("norm", "AdamW losses", "clipped norms", "AdamW weights", "AdamW state", "saved state",
               "saved numbers")


def exact_items(case: Case) -> tuple[str, ...]:
    """The items of a record that nothing but equal bits will do for."""
    layout, train = case.layout, case.train
    bitwise = layout.gradients == "bitwise"
    schedule = find_schedule(layout.pipeline, layout.pp, 1 if bitwise else train.micro_batches,
                             layout.virtual or None)
    same = layout.tp == 1 and (bitwise or case.serial and layout.dp == 1)
    if not same or schedule.stages > 1 and (case.model.tied or not schedule.in_order):
        return ALWAYS
    return ALWAYS + SGD + (OF_THE_NORM if layout.pp == 1 else ())
