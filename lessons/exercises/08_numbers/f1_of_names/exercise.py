import math

from minipar.lessons.support.metrics import entities

from minipar.exercises import Exercise

TYPES = ("PER", "LOC")
TAGS = ["O", *(f"{part}-{one}" for part in "BI" for one in TYPES)]


def inputs(ranks, rng, size):
    sentences, words = size
    true = [[str(rng.choice(TAGS)) for _ in range(words + n % 3)] for n in range(sentences)]
    predicted = [[tag if rng.random() < 0.7 else str(rng.choice(TAGS)) for tag in tags] for tags in true]
    return [(true, predicted, ["B-PER", "I-PER"] * (2 * sentences))]


def f1(true, predicted):
    hits = both = 0
    for wanted, got in zip(true, predicted, strict=True):
        hits, both = hits + len(wanted & got), both + len(wanted) + len(got)
    return 2 * hits / both if both else 0.0


def words(tags):
    return {(index, tag) for index, tag in enumerate(tags) if tag != "O"}


def without_sentences(true, predicted):
    return f1([set().union(*map(entities, true))], [set().union(*map(entities, predicted))])


def mean_over_sentences(true, predicted):
    scores = [f1([entities(one)], [entities(other)]) for one, other in zip(true, predicted, strict=True)]
    return sum(scores) / len(scores)


def macro(true, predicted):
    """Return the mean of the F1 of each type, which is a mistake."""
    names = [[entities(tags) for tags in side] for side in (true, predicted)]
    kinds = {name[2] for side in names for sentence in side for name in sentence}
    each = [f1(*([{name for name in sentence if name[2] == kind} for sentence in side] for side in names))
            for kind in kinds]
    return sum(each) / len(each)


MISTAKES = {
    "F1 counts tags\na name counts only if its first word, its last word and its type agree":
        lambda true, predicted: f1(map(words, true), map(words, predicted)),
    "names of different sentences count as equal\nmake one set of names for each sentence":
        without_sentences,
    "F1 is the mean of the sentences' F1\nadd up the counts of all sentences, and divide once":
        mean_over_sentences,
    "F1 is the mean of the types' F1, the macro F1\nadd up the counts of all types, and divide once": macro,
    "names are compared without their types\na PER in place of a LOC is one FP and one FN":
        lambda true, predicted: f1(*([{name[:2] for name in entities(tags)} for tags in side]
                                     for side in (true, predicted)))}


def judge(ranks, arguments, results):
    true, predicted, pairs = arguments[0]
    got, tags = results[0]["F1"], results[0]["half right"]
    wanted = f1(map(entities, true), map(entities, predicted))
    if not math.isclose(got, wanted, abs_tol=1e-12):
        for text, mistake in MISTAKES.items():
            if math.isclose(got, mistake(true, predicted), abs_tol=1e-12):
                return text
        return f"F1 is {got:.6g}; wanted is {wanted:.6g}"
    if len(tags) != len(pairs):
        return f"half_right returns {len(tags)} tags for {len(pairs)} words\neach word has one tag"
    if unknown := [tag for tag in tags if tag not in TAGS]:
        return f"half_right returns {unknown[0]!r}\na tag is one of {', '.join(TAGS)}"
    right = sum(tag == other for tag, other in zip(tags, pairs, strict=True))
    if right != len(pairs) / 2:
        return f"half_right has {right} of {len(pairs)} tags right; half of them should be right"
    if found := entities(tags) & entities(pairs):
        return f"half_right finds {len(found)} of the true names\na name that is one word too short is not found"
    return ""


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="3", function="micro_f1 half_right", comm="",
    goal="score names, and know how far the accuracy of tags can be from it",
    prerequisites=("spans_of_names",), forbids=("minipar",),
    cases={"plain": (8, 9), "one sentence": (1, 9), "many sentences": (12, 5), "no words": (1, 0)},
    inputs=inputs, judge=judge, library="lessons/support/metrics.py:entity_report")
