def names(tags):
    """The set of names (first word, last word, type) of a sentence."""
    found, before = [], "O"
    for index, tag in enumerate(tags):
        if tag != "O":
            if tag.startswith("B") or before[2:] != tag[2:]:
                found.append([index, index, tag[2:]])
            found[-1][1] = index
        before = tag
    return {tuple(name) for name in found}


def micro_f1(true, predicted):
    """The micro F1 over names, a number. true, predicted: lists of sentences, each a list of tags."""
    hits = both = 0
    for wanted, got in zip(map(names, true), map(names, predicted), strict=True):
        hits += len(wanted & got)
        both += len(wanted) + len(got)                              # 2 TP + FP + FN
    return 2 * hits / both if both else 0.0


def half_right(tags):
    """Tags of which half are right, and which find no name. tags: ["B-PER", "I-PER", "B-PER", ...]."""
    return [tag if tag.startswith("B") else "O" for tag in tags]
