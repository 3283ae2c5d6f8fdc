"""KL(q || p): the student's own probabilities are the weights.

fails: values
says: 'loss'
"""
import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss_and_gradient(student, teacher, T):
    p, q = softmax(teacher / T), softmax(student / T)
    loss = T**2 * (q * np.log(q / p)).sum(axis=1).mean()
    return {"loss": loss, "grad": T * (q - p) / len(student)}
