"""Defines optimisers over flat buffers, clipping, and learning-rate schedules. Read flat.py, then
optimizers.py.

store.py defines the interface between buffers and optimisers.
"""

from minipar.optim.clipping import clip, clip_by_global_norm, norm_of, squared_norm
from minipar.optim.flat import Flat
from minipar.optim.optimizers import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, Optimizer
from minipar.optim.schedules import LearningRate, constant, cosine, warm_up
from minipar.optim.store import ParameterStore, Run

__all__ = [
    "OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Flat", "Optimizer", "LearningRate", "ParameterStore",
    "Run", "clip",
    "clip_by_global_norm", "constant", "cosine", "norm_of", "squared_norm", "warm_up",
]
