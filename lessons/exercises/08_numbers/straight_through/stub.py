import numpy as np


def forward(w, scale, q):
    """w rounded to multiples of scale, at most q of them."""
    raise NotImplementedError("write forward")


def backward(w, g, scale, q):
    """The straight-through gradient for w."""
    raise NotImplementedError("write backward: where does g pass, and where not?")
