import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, s, low, high = size
    x = 2 * rng.standard_normal(n)
    return [(x, rng.standard_normal(n), s, (low, high), 12, 0.05)]


def slope(ratio, code, low, high):
    return code - ratio if low <= ratio <= high else code


def with_slope(slope, times=1.0, of_loss=lambda n: 2 / n):
    """The reference, number by number. Each argument is a rule that a known mistake changes."""
    def reference(ranks, arguments):
        x, g, s, (low, high), steps, rate = arguments[0]

        def rounded(s):
            ratios = (x / s).tolist()
            return ratios, [max(low, min(high, round(ratio))) for ratio in ratios]

        def gradient(g, s):
            return times * sum(one * slope(ratio, code, low, high)
                               for one, ratio, code in zip(g.tolist(), *rounded(s), strict=True))

        learnt = s
        for _ in range(steps):
            back = learnt * np.array(rounded(learnt)[1])
            learnt -= rate * gradient(of_loss(len(x)) * (back - x), learnt)
        return [{"result": s * np.array(rounded(s)[1], float), "grad s": gradient(g, s),
                 "gradient descent": learnt}]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="9", function="forward backward learn", comm="",
    goal="derive the gradient of a quantiser's scale, and train the scale with it",
    prerequisites=("straight_through",),
    cases={"2 bits": (15, 1.0, -1, 1), "3 bits": (12, 0.5, -3, 3), "codes 0 to 3": (10, 0.7, 0, 3)},
    inputs=inputs, reference=with_slope(slope), mistakes={
        "the derivative is `code` for all numbers\nround(x / s) depends on s, too: inside it is code - x / s":
            with_slope(lambda ratio, code, low, high: code),
        "clipped numbers have the derivative 0\ntheir xhat is s * low or s * high: what is its derivative with respect to s?":
            with_slope(lambda ratio, code, low, high: code - ratio if low <= ratio <= high else 0.0),
        "the derivative is code - x / s for clipped numbers, too\na clipped number keeps its code: the derivative is code":
            with_slope(lambda ratio, code, low, high: code - ratio),
        "the sign of the gradient is wrong\nthe derivative inside is code - x / s, and not x / s - code":
            with_slope(slope, times=-1.0),
        "the loss of `learn` is the sum of the squares\nthe loss is their mean: divide by n":
            with_slope(slope, of_loss=lambda n: 2),
        "the loss of `learn` is half of the mean\nthe derivative of (xhat - x)^2 is 2 (xhat - x)":
            with_slope(slope, of_loss=lambda n: 1 / n)},
    library="minipar/compress/quantize/fake.py")
