import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss_and_gradient(student, teacher, T):
    """{"loss": mean of T^2 KL(p || q), "grad": with respect to student [n, c]}."""
    p, q = softmax(teacher / T), softmax(student / T)
    loss = T**2 * (p * np.log(p / q)).sum(axis=1).mean()
    return {"loss": loss, "grad": T * (q - p) / len(student)}
