import numpy as np


def verify(p, q, tokens, u):
    """How many guesses are accepted, and the probabilities [V] of the token after them: a dict."""
    for number, token in enumerate(tokens):
        if u[number] >= p[number, token] / q[number, token]:
            rest = np.maximum(p[number] - q[number], 0)
            return {"accepted": number, "next": rest / rest.sum()}
    return {"accepted": len(tokens), "next": p[len(tokens)]}
