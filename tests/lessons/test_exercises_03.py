"""The exercise of lesson 3: F1 of entities without minipar.lessons.support.metrics, and tags that hit half of
the tokens and no entity.
"""

from pathlib import Path

from tests.lessons.running import solved


def test_the_exercise_of_lesson_3_can_be_solved(tmp_path: Path) -> None:
    """An I-X that continues nothing of type X begins an entity; then a span is every maximal run of tags."""
    job = solved("03_reading_a_report", (), """
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

def micro(true, guess):
    hits = sum(len(spans(t) & spans(g)) for t, g in zip(true, guess))
    return 2 * hits / sum(len(spans(tags)) for tags in true + guess)

KINDS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
rng = stream(0, "random tags")
true, guess = ([[KINDS[n] for n in rng.integers(5, size=12)] for _ in range(50)] for _ in range(2))
assert abs(micro(true, guess) - entity_report(true, guess).micro.f1) < 1e-15 and micro(true, guess) > 0
pairs = ["B-PER", "I-PER"] * 5
half = ["B-PER", "O"] * 5
assert sum(a == b for a, b in zip(pairs, half)) == 5 and micro([pairs], [half]) == 0
""", tmp_path)
    assert job.returncode == 0, job.stdout + job.stderr
