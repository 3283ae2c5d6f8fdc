"""Reports against counts by hand, against their definitions in plain loops, and by their identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from minipar.lessons.support.metrics import (
    ClassScores,
    classification_report,
    confusion,
    entities,
    entity_report,
    f1_score,
    report_of,
)

from minipar.errors import DataError
from tests.refusals import refused

NAMES = ["a", "b", "c", "d"]
LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)
TAGS = st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=12)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.array(pairs).T
    return true, predicted


def close(one: ClassScores, other: ClassScores) -> bool:
    return np.allclose([one.precision, one.recall, one.f1], [other.precision, other.recall, other.f1],
                       rtol=1e-12, atol=0) \
        and one.support == other.support


def test_by_hand() -> None:
    true, predicted = columns([(0, 0), (0, 1), (0, 0), (1, 1), (2, 1)])
    report = classification_report(true, predicted, ["cat", "dog", "owl"])
    assert report.classes == {"cat": ClassScores(1.0, 2 / 3, 0.8, 3), "dog": ClassScores(1 / 3, 1.0, 0.5, 1),
                              "owl": ClassScores(0.0, 0.0, 0.0, 1)}
    assert report.micro == ClassScores(0.6, 0.6, 0.6, 5)
    assert close(report.macro, ClassScores(4 / 9, 5 / 9, 1.3 / 3, 5))
    assert close(report.weighted, ClassScores(2 / 3, 0.6, 0.58, 5))
    assert report.rows(2)[1] == ("cat", "1.00", "0.67", "0.80", "3") and len(report.rows()) == 7
    assert report.rows()[-1] == ("weighted avg", "0.667", "0.600", "0.580", "5")


def test_a_mean_of_f1_is_not_the_f1_of_means() -> None:
    report = report_of(["a", "b"], np.array([1, 9]), np.array([10, 9]), np.array([1, 90]))
    assert (
        report.macro.f1
        == (f1_score(0.1, 1) + f1_score(1, 0.1)) / 2
        < f1_score(report.macro.precision, report.macro.recall)
    )


@given(LABELS)
def test_every_number_from_its_definition(pairs: list[tuple[int, int]]) -> None:
    report = classification_report(*columns(pairs), NAMES)
    for label, scores in enumerate(report.classes.values()):
        hits = sum(t == p == label for t, p in pairs)
        predicted, true = sum(p == label for _, p in pairs), sum(t == label for t, _ in pairs)
        assert scores.precision == (hits / predicted if predicted
                                    else 0) and scores.recall == (hits / true if true else 0)
        assert scores.f1 == pytest.approx(2 * hits / (predicted + true) if predicted + true
                                          else 0) and scores.support == true


@given(LABELS)
def test_identities(pairs: list[tuple[int, int]]) -> None:
    """One label each: micro is accuracy, thrice; weighted recall too. Supports add up; scores lie between 0
    and 1.
    """
    report = classification_report(*columns(pairs), NAMES)
    accuracy = sum(t == p for t, p in pairs) / len(pairs)
    assert report.micro == ClassScores(accuracy, accuracy, f1_score(accuracy, accuracy), len(pairs))
    assert report.micro.f1 == pytest.approx(accuracy) and report.weighted.recall == pytest.approx(accuracy)
    assert (
        sum(s.support for s in report.classes.values())
        == len(pairs)
        == report.macro.support
        == report.weighted.support
    )
    for s in (*report.classes.values(), report.macro, report.weighted):
        assert 0 <= s.precision <= 1 and 0 <= s.recall <= 1 and 0 <= s.f1 <= 1
    for s in report.classes.values():
        assert min(s.precision, s.recall) - 1e-12 <= s.f1 <= max(s.precision, s.recall) + 1e-12


@given(LABELS)
def test_labels_and_predictions_exchange_precision_and_recall(pairs: list[tuple[int, int]]) -> None:
    one, other = classification_report(*columns(pairs),
                                       NAMES), classification_report(*columns(pairs)[::-1], NAMES)
    for a, b in zip(one.classes.values(), other.classes.values(), strict=True):
        assert (a.precision, a.recall) == (b.recall, b.precision) and a.f1 == pytest.approx(b.f1)
    assert np.array_equal(confusion(*columns(pairs), 4), confusion(*columns(pairs)[::-1], 4).T)


def test_padding_does_not_count() -> None:
    true, predicted = np.array([[0, 1, -1], [1, -1, -1]]), np.array([[0, 1, 7], [0, 0, 1]])
    assert confusion(true, predicted, 2).tolist() == [[1, 0], [1, 1]]
    assert confusion(true + 1, np.minimum(predicted, 1), 3, ignore=0).sum() == 3


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_labels_may_be_integers_of_any_width(dtype: type) -> None:
    """20 x 20 counts are more than 8 bits tell apart."""
    labels, wide = np.arange(20, dtype=dtype), np.arange(20)
    assert np.array_equal(confusion(labels, wide[::-1], 20), confusion(wide, wide[::-1], 20))
    assert np.array_equal(confusion(labels, labels, 20), np.eye(20))


def test_some_classes_alone() -> None:
    """Leaving out the largest class, micro scores are no accuracy any more: precision and recall part."""
    true, predicted = columns([(0, 0)] * 90 + [(0, 1)] * 5 + [(1, 1)] * 3 + [(1, 0)] * 2)
    report = classification_report(true, predicted, ["O", "X"], only=["X"])
    assert report.micro == report.classes["X"] == ClassScores(3 / 8, 3 / 5, pytest.approx(6 / 13), 5)


@pytest.mark.parametrize("tags, found", [
    ("O O", set()),
    ("B-X I-X O B-Y", {(0, 2, "X"), (3, 4, "Y")}),
    ("B-X B-X I-X", {(0, 1, "X"), (1, 3, "X")}),
    ("I-X I-X O I-Y", {(0, 2, "X"), (3, 4, "Y")}),                    # an I that continues nothing begins
    ("B-X I-Y I-Y", {(0, 1, "X"), (1, 3, "Y")}),
    ("B-X-Z I-X-Z", {(0, 2, "X-Z")}),
    ("", set()),
])
def test_entities(tags: str, found: set) -> None:
    assert entities(tags.split()) == found


@given(TAGS)
def test_entities_cover_what_is_not_outside_and_do_not_overlap(tags: list[str]) -> None:
    covered = [place for start, end, _ in entities(tags) for place in range(start, end)]
    assert sorted(covered) == [place for place, tag in enumerate(tags) if tag != "O"]


@given(st.lists(TAGS, min_size=1, max_size=5))
def test_written_again_from_their_entities_tags_mark_the_same(sentences: list[list[str]]) -> None:
    for tags in sentences:
        again = ["O"] * len(tags)
        for start, end, kind in entities(tags):
            again[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
        assert entities(again) == entities(tags)


def test_an_entity_counts_only_as_a_whole() -> None:
    true = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG"]]
    guess = [["B-PER", "O", "O", "B-LOC"], ["O", "B-LOC"]]
    report = entity_report(true, guess)
    assert report.classes == {"LOC": ClassScores(0.5, 1.0, pytest.approx(2 / 3), 1),
                              "ORG": ClassScores(0.0, 0.0, 0.0, 1), "PER": ClassScores(0.0, 0.0, 0.0, 1)}
    assert report.micro == ClassScores(1 / 3, 1 / 3, pytest.approx(1 / 3), 3)
    assert entity_report(true, true).micro == ClassScores(1.0, 1.0, 1.0, 3)


def test_refusals() -> None:
    zeros = np.zeros(3, int)
    with refused(DataError, "(3,)", "(2,)"):
        confusion(zeros, zeros[:2], 2)
    with refused(DataError, "predictions", "0 to 2", "2 classes"):
        confusion(zeros, np.array([0, 1, 2]), 2)
    with pytest.raises(DataError, match="labels run from -2 to 0"):
        confusion(np.array([0, -2]), np.array([0, 0]), 2)
    with pytest.raises(DataError, match="no class Z"):
        classification_report(zeros, zeros, ["a", "b"], only=["Z"])
    with pytest.raises(DataError, match="'PER-B' at position 1"):
        entities(["O", "PER-B"])
    with pytest.raises(DataError, match="'B-' at position 0"):
        entities(["B-"])
    with pytest.raises(DataError, match="as many, and as long"):
        entity_report([["O"]], [["O", "O"]])
    with pytest.raises(DataError, match="no tag marks an entity"):
        entity_report([["O"]], [["O"]])
    with refused(DataError, "hits", "negative"):
        report_of(["a"], np.array([3]), np.array([2]), np.array([5]))
    with pytest.raises(DataError, match="2 names"):
        report_of(["a", "b"], np.array([1]), np.array([1]), np.array([1]))
    with refused(DataError, "float64", "integers"):
        confusion(zeros, np.full(3, 0.7), 2)
    with pytest.raises(DataError, match="classes are none"):
        report_of([], zeros[:0], zeros[:0], zeros[:0])
    with refused(DataError, "a, b, a", "once"):
        report_of(["a", "b", "a"], zeros, zeros, zeros)
