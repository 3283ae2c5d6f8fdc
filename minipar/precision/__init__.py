"""Mixed precision computes products in 16 bits, keeps weights and sums in 32 bits, and scales the loss.

Read formats.py (16-bit numbers), autocast.py (the ops that use them), scaling.py (the loss scale that float16
needs). The optimiser changes the master weights, which stay float32. An op in 16 bits rounds a copy of the
master weights.
"""

from minipar.precision.autocast import IN_16_BITS, Autocast, RoundingTally
from minipar.precision.formats import BFLOAT16, FLOAT16, FLOAT32, FORMATS, Format, format_of
from minipar.precision.scaling import LossScale, loss_scale_of

__all__ = ["BFLOAT16", "FLOAT16", "FLOAT32", "FORMATS", "IN_16_BITS", "Autocast", "Format", "LossScale",
           "RoundingTally", "format_of", "loss_scale_of"]
