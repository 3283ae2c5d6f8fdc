import numpy as np


def verify(p, q, tokens, u):
    """How many guesses are accepted, and the probabilities [V] of the token after them: a dict."""
    raise NotImplementedError("write verify: go through the guesses until one is rejected")
