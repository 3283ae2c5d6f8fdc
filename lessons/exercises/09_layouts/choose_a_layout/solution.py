def choose(ranks, parameters, activations, memory, layers, heads, micro_batches, work, price):
    """{"dp": ..., "tp": ..., "pp": ...} of the fastest step that fits."""
    found = []
    for tp in range(1, 9):
        for pp in range(1, ranks + 1):
            if ranks % (tp * pp) or heads % tp or layers % pp:
                continue
            if 16 * parameters / (tp * pp) + activations / tp > memory:
                continue
            time = work / ranks * (micro_batches + pp - 1) / micro_batches + price * (tp - 1)
            found.append((time, tp, pp))
    _, tp, pp = min(found)
    return {"dp": ranks // (tp * pp), "tp": tp, "pp": pp}
