def step(layers, x, g, gather, reduce):
    """(y, the gradient of x). Weights come from gather(i), gradients go to reduce(i, dW)."""
    inputs, h = [], x
    for i in range(layers):
        inputs.append(h)
        h = h @ gather(i)
    y = h
    for i in reversed(range(layers)):
        reduce(i, inputs[i].T @ g)
        g = g @ gather(i).T
    return y, g
