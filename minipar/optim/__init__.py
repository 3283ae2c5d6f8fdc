"""Optimisers over flat buffers, clipping, and learning-rate schedules. Read flat.py, then optimizers.py."""

from minipar.optim.clipping import clip, clip_by_global_norm, norm_of, squared_norm
from minipar.optim.flat import Flat
from minipar.optim.optimizers import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, Optimizer
from minipar.optim.schedules import LearningRate, constant, cosine, warm_up

__all__ = [
    "OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Flat", "Optimizer", "LearningRate", "clip",
    "clip_by_global_norm", "constant", "cosine", "norm_of", "squared_norm", "warm_up",
]
