import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, bits = size
    return [(rng.standard_normal(n) ** 3, bits)]


def quantised(levels_of, nearest=True):
    def reference(ranks, arguments):
        x, bits = arguments[0]
        levels = levels_of(x, bits)
        codes = np.array(
            [min(range(len(levels)), key=lambda k: (abs(one - levels[k]), k)) for one in x], np.int64
        )
        if not nearest:
            sizes = [len(group) for group in np.array_split(x, 2**bits)]
            codes[np.argsort(x)] = np.repeat(np.arange(2**bits), sizes)
        return [(levels, codes)]
    return reference


def means(x, bits):
    return np.array([group.mean() for group in np.array_split(np.sort(x), 2**bits)])


def linear(x, bits):
    return np.linspace(x.min(), x.max(), 2**bits)


def unsorted(x, bits):
    return np.array([group.mean() for group in np.array_split(x, 2**bits)])


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="8", function="quantise", comm="",
    goal="put levels where the numbers are, and see what that costs in the tails",
    prerequisites=("affine_quantisation",),
    cases={"two bits": (21, 2), "one bit": (6, 1), "three bits": (40, 3), "one number for each level": (8, 3)},
    inputs=inputs, reference=quantised(means), mistakes={
        "the levels are evenly spread\nthey should be where the numbers are: the means of equally large groups": quantised(linear),
        "the groups are made from unsorted numbers\nsort x first": quantised(unsorted),
        "the code is that of the number's own group\na number at the edge may be nearer to the next level":
            quantised(means, nearest=False)},
    library="minipar/compress/quantize/__init__.py")
