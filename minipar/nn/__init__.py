"""Defines modules, parameters and the GPT. This package uses ranks only through the interface in region.py.

Read parameter.py and module.py, then layers.py and gpt.py, then dropout.py and recomputation.py. counts.py
counts parameters and FLOPs. gpt2_names.py translates the names of GPT-2's weights. nonfinite.py finds the
module in which a NaN arose.
"""

from minipar.nn.dropout import NO_DROPOUT, Dropout
from minipar.nn.gpt import GPT, MLP, Attention, Block, Part
from minipar.nn.layers import (
    ColumnParallelLinear,
    LayerNorm,
    Linear,
    LinearLayer,
    RowParallelLinear,
    VocabParallelEmbedding,
)
from minipar.nn.module import Module
from minipar.nn.parameter import Parameter, Shard, Start
from minipar.nn.region import SERIAL, Region

__all__ = [
    "GPT", "MLP", "NO_DROPOUT", "SERIAL", "Attention", "Block", "ColumnParallelLinear", "Shard", "Dropout",
    "LayerNorm",
    "Linear", "LinearLayer", "Module", "Parameter", "Part", "RowParallelLinear", "Region", "Start",
    "VocabParallelEmbedding",
]
