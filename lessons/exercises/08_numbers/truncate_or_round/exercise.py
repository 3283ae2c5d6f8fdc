import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, kind):
    if kind == "ties":
        bits = rng.integers(0x3f00, 0x4100, 12).astype(np.uint32) << 16 | np.uint32(0x8000)
        x = bits.view(np.float32) * rng.choice(np.float32([-1, 1]), 12)
    else:
        x = (rng.standard_normal(12) * kind).astype(np.float32)
    return [(x,)]


def reference(ranks, arguments, half=lambda odd: 0x7fff + odd):
    """half: a mistake in what is added before the lower bits are cut off."""
    bits = arguments[0][0].view(np.uint32).astype(np.uint64)
    odd = bits >> 16 & 1
    kept_bits = [
        (one & 0xFFFF0000).astype(np.uint32).view(np.float32)
        for one in (bits, bits + half(odd).astype(np.uint64))
    ]
    return [{"truncated": kept_bits[0], "rounded": kept_bits[1]}]


def adding(number):
    return lambda ranks, arguments: reference(ranks, arguments, half=lambda odd: 0 * odd + number)


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="6", function="truncated rounded", comm="",
    goal="round to the nearest with whole numbers, and know why truncation is worse than its error",
    cases={"plain": 1.0, "ties": "ties", "tiny": 1e-30, "large": 1e30}, inputs=inputs, reference=reference,
    mistakes={"`rounded` truncates\nadd half of bit 16 before the lower bits are cut off": adding(0),
              "numbers in the middle go up\nties to even: add 0x7fff, and 1 more if bit 16 is 1": adding(0x8000),
              "numbers in the middle go down\nties to even: add 1 more if bit 16 is 1": adding(0x7fff)},
    library="minipar/precision/__init__.py")
