"""Accepts a guess with the probability that the large model gives it.

fails: values
says: compared with p alone
"""
import numpy as np


def verify(p, q, tokens, u):
    for number, token in enumerate(tokens):
        if u[number] >= p[number, token]:
            rest = np.maximum(p[number] - q[number], 0)
            return {"accepted": number, "next": rest / rest.sum()}
    return {"accepted": len(tokens), "next": p[len(tokens)]}
