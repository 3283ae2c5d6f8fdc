from fractions import Fraction

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    arrays = []
    for _ in range(size):
        start = int(rng.integers(0, 20))
        arrays.append((int(rng.integers(1, 9)) * 4, start, start + int(rng.integers(1, 8))))
    return [(arrays,)]


def judge(ranks, arguments, results):
    arrays, offsets = arguments[0][0], results[0]
    if (
        not isinstance(offsets, list)
        or len(offsets) != len(arrays)
        or not all(type(o) is int and 0 <= o < 10**6 for o in offsets)
    ):
        return f"give a list of {len(arrays)} whole numbers from 0 on"
    for i, (size, start, end) in enumerate(arrays):
        for j in range(i):
            other, begin, stop = arrays[j]
            if start < stop and begin < end and offsets[i] < offsets[j] + other and offsets[j] < offsets[i] + size:
                return f"arrays {j} and {i} overlap: both are alive at time {max(start, begin)}"
    total = max((offset + size for offset, (size, _, _) in zip(offsets, arrays, strict=True)), default=0)
    least = max(
        (sum(size for size, start, end in arrays if start <= time < end) for time in range(30)), default=0
    )
    par = Fraction(5, 4) * least
    return (
        ""
        if total <= par
        else f"the block has {total} bytes; par is {float(par):g}, at least {least} are needed"
    )


EXERCISE = Exercise(
    kind="design", minutes=25, lesson="4", function="plan", comm="",
    goal="reuse memory by lifetimes",
    cases={"5 arrays": 5, "one array": 1, "no array": 0, "30 arrays": 30},
    inputs=inputs, judge=judge, library="lessons/support/memory_pool.py")
