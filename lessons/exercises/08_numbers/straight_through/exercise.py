import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, scale, q = size
    return [(rng.standard_normal(n) * 2, rng.standard_normal(n), scale, q)]


def reference(ranks, arguments):
    w, g, scale, q = arguments[0]
    codes = [max(-q, min(q, round(value))) for value in (w / scale).tolist()]
    passed = [
        one if -q <= value <= q else 0.0 for one, value in zip(g.tolist(), (w / scale).tolist(), strict=True)
    ]
    return [{"result": np.array(codes) * scale, "grad w": np.array(passed)}]


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="9", function="forward backward", comm="",
    goal="train through an operation without a derivative",
    prerequisites=("affine_quantisation",),
    cases={"3 codes": (12, 1.0, 1), "15 codes": (9, 0.25, 7), "narrow": (20, 0.1, 2)},
    inputs=inputs, reference=reference, library="minipar/compress/quantize/__init__.py")
