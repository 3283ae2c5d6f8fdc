import math

import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, bits = size
    return [(rng.standard_normal(n), bits)]


def nearest(x, levels):
    return [min(range(len(levels)), key=lambda k: (abs(one - levels[k]), k)) for one in x]


def groups(x, bits):
    return np.array_split(np.sort(x), 2**bits)


def shares_of_codes(codes, levels):
    return [codes.count(k) / len(codes) for k in set(codes)]


def shares_of_values(codes, levels):
    """The shares that the levels themselves would have: a mistake."""
    total = float(np.abs(levels).sum())
    return [abs(one) / total for one in levels.tolist() if one]


def judged(shares=shares_of_codes, log=math.log2, error=lambda squares: float(np.mean(squares)), unused=0.0):
    """The reference. Each argument is a rule that a known mistake changes."""
    def of_levels(x, levels):
        codes = nearest(x, levels)
        squares = [(levels[code] - one) ** 2 for one, code in zip(x, codes, strict=True)]
        found = -sum(p * log(p) for p in shares(codes, levels))
        return error(squares), found + (unused if len(set(codes)) < len(levels) else 0.0)

    def reference(ranks, arguments):
        x, bits = arguments[0]
        return [{"linear": of_levels(x, np.linspace(x.min(), x.max(), 2**bits)),
                 "quantiles": of_levels(x, np.array([group.mean() for group in groups(x, bits)]))}]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="8", function="compare", comm="",
    goal="measure a quantiser in two ways, and know why their rankings differ",
    prerequisites=("quantile_levels",),
    cases={"3 bits": (48, 3), "1 bit": (7, 1), "4 bits, many unused codes": (20, 4)},
    inputs=inputs, reference=judged(), mistakes={
        "the entropy is in nats\nthe natural logarithm gives nats; log2 gives bits": judged(log=math.log),
        "the entropy is NaN, because a code is not used\n0 log2(0) is NaN in NumPy; leave out the shares that are 0":
            judged(unused=math.nan),
        "the entropy is computed from the levels' values\nhow often is each code used? np.bincount or np.unique counts":
            judged(shares=shares_of_values),
        "the error is the root of the mean squared error\nthe task asks for the mean squared error, without a root":
            judged(error=lambda squares: float(np.sqrt(np.mean(squares))))},
    library="minipar/compress/quantize/codebook.py:quantile_codes")
