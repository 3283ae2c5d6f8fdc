"""Stores floats as integers of 2 to 16 bits: quantisation.

Read scheme.py (the options), grid.py (the rounding), limits.py (the covered range of values) and affine.py
first. Then read fake.py (training), integer.py (products of integers) and model.py (a GPT). codebook.py
defines nonlinear codes. stored.py writes files.
"""

from minipar.compress.quantize.affine import Quantized, quantize
from minipar.compress.quantize.codebook import Coded, quantile_codes, sigmoid_codes
from minipar.compress.quantize.fake import fake_quantize
from minipar.compress.quantize.grid import Limits, QuantizationGrid
from minipar.compress.quantize.integer import integer_linear, integer_matmul
from minipar.compress.quantize.limits import FindLimits, minmax, mse, percentile
from minipar.compress.quantize.model import (
    convert,
    linear_layers,
    quantize_dynamic,
    quantize_in_training,
    quantize_static,
    quantize_weights,
    quantized_weight,
    stored_bytes,
)
from minipar.compress.quantize.scheme import Scheme
from minipar.compress.quantize.stored import pack, pack_model, unpack, unpack_model

__all__ = [
    "Coded", "FindLimits", "QuantizationGrid", "Limits", "Quantized", "Scheme", "convert", "fake_quantize",
    "integer_linear",
    "integer_matmul", "linear_layers", "minmax", "mse", "pack", "pack_model", "percentile", "quantile_codes",
    "quantize",
    "quantize_dynamic", "quantize_in_training", "quantize_static", "quantize_weights", "quantized_weight",
    "sigmoid_codes", "stored_bytes", "unpack", "unpack_model",
]
