"""Clipping by the global norm (Pascanu, Mikolov and Bengio 2013)."""

from __future__ import annotations

import math

import numpy as np

BLOCK = 1 << 16


def squared_norm(gradient: np.ndarray) -> float:
    """The sum of squares of a flat gradient [n], added up in double precision block by block."""
    return math.fsum(float(np.dot(gradient[i : i + BLOCK], gradient[i : i + BLOCK])) for i in range(0, len(gradient), BLOCK))


def clip(gradient: np.ndarray, norm: float, limit: float) -> None:
    """Scale a flat gradient [n], whose norm is known, in place so that its norm is at most `limit`."""
    if norm > limit:
        gradient *= limit / norm


def clip_by_global_norm(gradient: np.ndarray, limit: float) -> float:
    """Scale a flat gradient [n] in place so that its norm is at most `limit`; returns the norm before."""
    norm = math.sqrt(squared_norm(gradient))
    clip(gradient, norm, limit)
    return norm
