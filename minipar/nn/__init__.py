"""Modules, parameters and the GPT. No file here knows of ranks: see region.py for the one place where they come in."""

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
