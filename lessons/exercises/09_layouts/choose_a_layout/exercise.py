from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    cards, price, layers, heads = size
    parameters = int(rng.integers(10, 60)) * 10**9
    activations = int(rng.integers(1, 5)) * 10**10
    fits = [16 * parameters / (tp * pp) + activations / tp for tp in (1, 2, 4, 8) for pp in (1, 2, 4, 8, 16)
            if cards % (tp * pp) == 0 and layers % pp == 0 and heads % tp == 0]
    memory = sorted(fits)[len(fits) // 3]
    return [(cards, parameters, activations, memory, layers, heads, int(rng.integers(4, 33)), 1000.0 * cards, price)]


def layouts(ranks, parameters, activations, memory, layers, heads, m, work, price):
    """(tp, pp) -> (fits, bytes, time) of everything that divides."""
    return {(tp, pp): (16 * parameters / (tp * pp) + activations / tp,
                       work / ranks * (m + pp - 1) / m + price * (tp - 1))
            for tp in range(1, 9) for pp in range(1, ranks + 1)
            if ranks % (tp * pp) == 0 and heads % tp == 0 and layers % pp == 0}


def judge(ranks, arguments, results):
    given, answer = arguments[0], results[0]
    if not isinstance(answer, dict) or set(answer) != {"dp", "tp", "pp"} \
            or not all(type(n) is int and 0 < n <= given[0] for n in answer.values()):
        return 'give {"dp": ..., "tp": ..., "pp": ...}, whole numbers from 1 on'
    if answer["dp"] * answer["tp"] * answer["pp"] != given[0]:
        return f"dp * tp * pp is {answer['dp'] * answer['tp'] * answer['pp']}; there are {given[0]} ranks"
    known = layouts(*given)
    if (answer["tp"], answer["pp"]) not in known:
        return (f"tp = {answer['tp']} and pp = {answer['pp']} are not allowed: tp is at most 8 and divides the {given[5]} "
                f"heads, and pp divides the {given[4]} layers")
    size, time = known[answer["tp"], answer["pp"]]
    if size > given[3]:
        return f"a card would hold {size:.4g} bytes; it has {given[3]:.4g}"
    par = min(time for size, time in known.values() if size <= given[3])
    return "" if time <= par * (1 + 1e-12) else f"a step takes {time:.6g}; par is {par:.6g}"


EXERCISE = Exercise(
    kind="design", minutes=20, lesson="16", function="choose", comm="",
    goal="choose a layout by its memory and its time",
    prerequisites=("ledger_of_a_7b_model", "predict_bubble"),
    cases={"8 ranks": (8, 5.0, 48, 32), "64 ranks, cheap links": (64, 0.1, 48, 32),
           "64 ranks, dear links": (64, 200.0, 48, 32), "32 ranks": (32, 20.0, 48, 32),
           "12 heads": (64, 0.1, 48, 12), "6 layers": (64, 2000.0, 6, 32)}, version=2,
    inputs=inputs, judge=judge, library="minipar/plan/memory.py")
