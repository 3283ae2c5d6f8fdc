import numpy as np


def drive(submission, comm, layers, ratio, x):
    small = submission.narrow(layers, ratio)
    for number, (weight, bias) in enumerate(small):
        if len(weight) != x.shape[1]:
            raise ValueError(f"W of layer {number} has {len(weight)} rows for {x.shape[1]} inputs")
        if np.shape(bias) != weight.shape[1:]:
            raise ValueError(f"W of layer {number} has {weight.shape[1]} columns, but b has shape {np.shape(bias)}")
        x = x @ weight + bias
        if number < len(small) - 1:
            x = np.maximum(x, 0)
    return {"shapes": [list(np.shape(weight)) for weight, _ in small], "output": x}
