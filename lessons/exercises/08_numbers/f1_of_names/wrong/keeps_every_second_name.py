"""Gets half of the tags right by finding every second name whole.

fails: values
says: half_right finds
"""


def names(tags):
    found, before = [], "O"
    for index, tag in enumerate(tags):
        if tag != "O":
            if tag.startswith("B") or before[2:] != tag[2:]:
                found.append([index, index, tag[2:]])
            found[-1][1] = index
        before = tag
    return {tuple(name) for name in found}


def micro_f1(true, predicted):
    pairs = [(names(a), names(b)) for a, b in zip(true, predicted, strict=True)]
    both = sum(len(a) + len(b) for a, b in pairs)
    return 2 * sum(len(a & b) for a, b in pairs) / both if both else 0.0


def half_right(tags):
    return [tag if index % 4 < 2 else "O" for index, tag in enumerate(tags)]
