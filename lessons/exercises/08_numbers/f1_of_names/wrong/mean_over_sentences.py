"""Computes F1 for each sentence, and takes the mean.

fails: values
says: mean of the sentences' F1
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


def score(wanted, got):
    both = len(wanted) + len(got)
    return 2 * len(wanted & got) / both if both else 0.0


def micro_f1(true, predicted):
    scores = [score(names(a), names(b)) for a, b in zip(true, predicted, strict=True)]
    return sum(scores) / len(scores)


def half_right(tags):
    return [tag if tag.startswith("B") else "O" for tag in tags]
