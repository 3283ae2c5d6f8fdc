import numpy as np


def drive(submission, comm, x):
    codes, scale, zero = submission.quantize(x.copy())
    back = submission.dequantize(codes, scale, zero)
    return {"codes": np.asarray(codes), "scale": float(scale), "zero": float(zero), "back": back}
