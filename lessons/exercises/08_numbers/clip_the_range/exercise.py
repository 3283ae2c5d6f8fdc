import numpy as np

from minipar.exercises import Exercise

SHARES = np.linspace(1, 0.2, 17)


def inputs(ranks, rng, size):
    n, bits, outlier = size
    x = rng.standard_normal(n)
    x[n // 2] += outlier
    return [(x, bits, SHARES)]


def clipped(number, q):
    return max(-q, min(q, round(number)))


def measured(code=clipped, against=lambda x, limit: x, widest=lambda x: np.abs(x).max(), decibels=10):
    """The reference. Each argument is a rule that a known mistake changes."""
    def reference(ranks, arguments):
        x, bits, shares = arguments[0]
        q, limits, errors = 2 ** (bits - 1) - 1, shares * widest(x), []
        for limit in limits:
            wanted = against(x, limit)
            back = [code(value / (limit / q), q) * (limit / q) for value in x.tolist()]
            errors.append(float(np.mean((np.array(back) - wanted) ** 2)))
        best = int(np.argmin(errors))
        return [{"errors": np.array(errors), "limit": limits[best],
                 "gain": decibels * np.log10(errors[0] / errors[best])}]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="7", function="best_range", comm="",
    goal="choose a range: a few clipped numbers against a smaller step for all others",
    prerequisites=("affine_quantisation",),
    cases={"4 bits, one outlier": (30, 4, -5.0), "4 bits": (40, 4, 0.0), "2 bits": (25, 2, 0.0),
           "8 bits, an outlier": (20, 8, 40.0)},
    inputs=inputs, reference=measured(), mistakes={
        "the codes are not clipped\ncodes are -q to q; a number outside of the range gets -q or q":
            measured(code=lambda number, q: round(number)),
        "the error is measured against clipped numbers\ncompare `back` with x itself: clipping makes an error, too":
            measured(against=lambda x, limit: np.clip(x, -limit, limit)),
        "the widest limit is the largest x\nit must be the largest |x|: which negative numbers are there?":
            measured(widest=lambda x: x.max()),
        "'gain' is 20 log10 of a squared error\nthe task asks for 10 log10: squared errors are powers, not amplitudes":
            measured(decibels=20)},
    library="minipar/compress/quantize/limits.py:mse")
