"""Leaves T squared out: right for T = 1, and slow to learn for T = 4.

fails: values
says: 'loss'
"""
import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss_and_gradient(student, teacher, T):
    p, q = softmax(teacher / T), softmax(student / T)
    return {"loss": (p * np.log(p / q)).sum(axis=1).mean(), "grad": (q - p) / T / len(student)}
