"""Draws from the large model after a rejection: its probabilities are wanted, after all.

fails: values
says: drawn from p
"""


def verify(p, q, tokens, u):
    for number, token in enumerate(tokens):
        if u[number] >= p[number, token] / q[number, token]:
            return {"accepted": number, "next": p[number]}
    return {"accepted": len(tokens), "next": p[len(tokens)]}
