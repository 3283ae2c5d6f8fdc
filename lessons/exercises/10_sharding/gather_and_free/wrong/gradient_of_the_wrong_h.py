"""Multiplies with the output of the layer where its input is needed.

fails: gradients
says: grad of the weights
"""


def step(layers, x, g, gather, reduce):
    hidden = [x]
    for i in range(layers):
        hidden.append(hidden[i] @ gather(i))
    for i in reversed(range(layers)):
        reduce(i, hidden[i + 1].T @ g)
        g = g @ gather(i).T
    return hidden[-1], g
