"""Takes the absolute difference of the two models.

fails: values
says: distance of p and q
"""
import numpy as np


def verify(p, q, tokens, u):
    for number, token in enumerate(tokens):
        if u[number] >= p[number, token] / q[number, token]:
            rest = np.abs(p[number] - q[number])
            return {"accepted": number, "next": rest / rest.sum()}
    return {"accepted": len(tokens), "next": p[len(tokens)]}
