"""Mixed precision: products in 16 bits, weights and sums in 32, and a scale that keeps gradients in range.

Read formats.py (16-bit numbers), autocast.py (the ops that use them), scaling.py (why float16 needs a loss
scale). The optimiser changes the master weights, which stay float32; every op rounds a copy of them.
"""

from minipar.precision.autocast import IN_16_BITS, Autocast, RoundingTally
from minipar.precision.formats import BFLOAT16, FLOAT16, FLOAT32, FORMATS, Format, format_of
from minipar.precision.scaling import LossScale, loss_scale_of

__all__ = ["BFLOAT16", "FLOAT16", "FLOAT32", "FORMATS", "IN_16_BITS", "Autocast", "Format", "LossScale",
           "RoundingTally", "format_of", "loss_scale_of"]
