import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, low, high = size
    return [(rng.uniform(low, high, n),)]


def reference(ranks, arguments):
    (x,) = arguments[0]
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = (high - low) / 255 or 1.0
    zero = -128 - round(low / scale)
    codes = [max(-128, min(127, round(value / scale) + zero)) for value in x.tolist()]
    back = np.array([(code - zero) * scale for code in codes])
    return [{"codes": np.array(codes, np.int8), "scale": scale, "zero": float(zero), "back": back}]


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="7", function="quantize dequantize", comm="",
    goal="map numbers to codes and back, with 0 exact",
    cases={"both signs": (6, -1, 2), "positive": (5, 1, 3), "negative": (4, -5, -2), "zeros": (3, 0, 0)},
    inputs=inputs, reference=reference, library="minipar/compress/quantize/__init__.py")
