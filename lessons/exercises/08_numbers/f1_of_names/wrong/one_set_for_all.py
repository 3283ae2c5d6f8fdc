"""Collects the names of all sentences in one set, and loses the sentence.

fails: values
says: different sentences
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
    wanted = {name for tags in true for name in names(tags)}
    got = {name for tags in predicted for name in names(tags)}
    both = len(wanted) + len(got)
    return 2 * len(wanted & got) / both if both else 0.0


def half_right(tags):
    return [tag if tag.startswith("B") else "O" for tag in tags]
