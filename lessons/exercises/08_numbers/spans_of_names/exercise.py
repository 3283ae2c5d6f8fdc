import re

from minipar.exercises import Exercise

TYPES = ("PER", "LOC")


def inputs(ranks, rng, kind):
    if kind == "plain":
        return [(["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-LOC", "I-PER"],)]
    tags = [str(rng.choice([f"{part}-{one}" for part in "BI" for one in TYPES] + ["O"])) for _ in range(kind)]
    return [(tags,)]


def found(pattern):
    """Names by a pattern over letters: b and B begin PER and LOC, i and I continue them."""
    letters = {"B-PER": "b", "I-PER": "i", "B-LOC": "B", "I-LOC": "I", "O": "."}

    def reference(ranks, arguments):
        text = "".join(letters[tag] for tag in arguments[0][0])
        lines = [f"{'PER' if match[0][0] in 'bi' else 'LOC'} {match.start()} {match.end() - 1}"
                 for match in re.finditer(pattern, text)]
        return ["\n".join(lines)]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="3", function="spans", comm="",
    goal="count names, not tags, and know the choice that a report must state",
    cases={"plain": "plain", "random tags": 30, "more": 60, "no words": 0}, inputs=inputs,
    reference=found(r"[bi]i*|[BI]I*"), mistakes={
        "an I-X that continues nothing is left out\nit begins a name, too": found(r"bi*|BI*"),
        "two names that touch are one\na B begins a new name": found(r"[bi]+|[BI]+")},
    library="lessons/support/metrics.py:entities")
