# An I-X that continues nothing of type X begins an entity; then a span is every maximal run of tags.

def spans(tags):
    found, begun = [], None
    for place, tag in enumerate(tags + ["O"]):
        goes_on = begun is not None and tag == "I-" + begun[1]
        if begun is not None and not goes_on:
            found.append((begun[0], place, begun[1]))
            begun = None
        if tag != "O" and not goes_on:
            begun = (place, tag[2:])
    return set(found)

def micro(gold, mine):
    hits = sum(len(spans(t) & spans(g)) for t, g in zip(gold, mine))
    return 2 * hits / sum(len(spans(tags)) for tags in gold + mine)

KINDS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
rng = stream(0, "random tags")
gold, mine = ([[KINDS[n] for n in rng.integers(5, size=12)] for _ in range(50)] for _ in range(2))
assert abs(micro(gold, mine) - entity_report(gold, mine).micro.f1) < 1e-15 and micro(gold, mine) > 0
pairs = ["B-PER", "I-PER"] * 5
half_right = ["B-PER", "O"] * 5
assert sum(a == b for a, b in zip(pairs, half_right)) == 5 and micro([pairs], [half_right]) == 0
