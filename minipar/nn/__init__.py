"""Modules, parameters and the GPT. No file here knows of ranks: see region.py for the one place where they
come in.

Read parameter.py and module.py, then layers.py and gpt.py; what a GPT is called with: dropout.py,
recomputation.py, kv_cache.py. counts.py says how large it is and what it costs; gpt2_names.py what others
call its weights; nonfinite.py where a NaN arose.
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
