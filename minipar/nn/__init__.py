"""Modules, parameters and the GPT. No file here knows of ranks: see region.py for the one place where they come in.

Read parameter.py and module.py, then layers.py and gpt.py; what a GPT is called with: dropout.py, recomputation.py, cache.py.
counts.py says how large it is and what it costs; gpt2_names.py what others call its weights; diagnosis.py where a NaN arose.
"""

from minipar.nn.dropout import NO_DROPOUT, Dropout
from minipar.nn.gpt import GPT, MLP, Attention, Block, Part
from minipar.nn.layers import ColumnParallelLinear, LayerNorm, Linear, LinearLayer, RowParallelLinear, VocabParallelEmbedding
from minipar.nn.module import Module
from minipar.nn.parameter import Cut, Parameter, Start
from minipar.nn.region import SERIAL, Serial

__all__ = [
    "GPT", "MLP", "NO_DROPOUT", "SERIAL", "Attention", "Block", "ColumnParallelLinear", "Cut", "Dropout", "LayerNorm",
    "Linear", "LinearLayer", "Module", "Parameter", "Part", "RowParallelLinear", "Serial", "Start",
    "VocabParallelEmbedding",
]
