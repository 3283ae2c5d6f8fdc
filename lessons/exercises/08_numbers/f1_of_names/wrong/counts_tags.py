"""Scores each word, because a word has one tag and the counts are simple.

fails: values
says: F1 counts tags
"""


def micro_f1(true, predicted):
    hits = both = 0
    for wanted, got in zip(true, predicted, strict=True):
        hits += sum(a == b != "O" for a, b in zip(wanted, got, strict=True))
        both += sum(tag != "O" for tag in wanted + got)
    return 2 * hits / both if both else 0.0


def half_right(tags):
    return [tag if tag.startswith("B") else "O" for tag in tags]
