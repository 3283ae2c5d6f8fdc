"""Modules, parameters and the GPT. No file here knows of ranks: see region.py for the one place where they come in."""

from minipar.nn.gpt import GPT, MLP, Attention, Block, Part
from minipar.nn.layers import ColumnParallelLinear, LayerNorm, Linear, LinearLayer, RowParallelLinear, VocabParallelEmbedding
from minipar.nn.module import Module
from minipar.nn.noise import SILENCE, Noise
from minipar.nn.parameter import Cut, Parameter, Start
from minipar.nn.region import SERIAL, Serial

__all__ = [
    "GPT", "MLP", "SERIAL", "SILENCE", "Attention", "Block", "ColumnParallelLinear", "Cut", "LayerNorm",
    "Linear", "LinearLayer", "Module", "Noise", "Parameter", "Part", "RowParallelLinear", "Serial", "Start",
    "VocabParallelEmbedding",
]
