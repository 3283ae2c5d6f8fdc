"""How good is a classifier? Precision, recall and F1 per class and on average, for labels and for entities in
text.

Everything follows from three counts per class: how often it was found rightly (hits), how often it was
predicted, how often it is true. So a report is made of these counts, and its averages cannot disagree with
its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minipar.arrays import no_array
from minipar.autograd import IGNORE
from minipar.errors import DataError

EntitySpan = tuple[int, int, str]                                   # [start, end) and the type of an entity


@dataclass(frozen=True)
class ClassScores:
    """precision: hits / predicted; recall: hits / true; f1: their harmonic mean; each 0 where it would be
    0/0. support: true.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassReport:
    """Scores per class and three averages.

    micro pools the counts of all classes; where each item has exactly one label and all classes are in the
    report, its three scores are one number, the accuracy. macro is the plain mean over classes, weighted the
    mean by support.
    """

    classes: Mapping[str, ClassScores]
    micro: ClassScores
    macro: ClassScores
    weighted: ClassScores

    def rows(self, digits: int = 3) -> list[tuple[str, ...]]:
        """Titles, then one row per class and average, as text."""
        named = {**self.classes, "micro avg": self.micro, "macro avg": self.macro,
                 "weighted avg": self.weighted}
        return [("", "precision", "recall", "f1", "support"),
                *((name, *(f"{value:.{digits}f}" for value in (s.precision, s.recall, s.f1)), str(s.support))
                  for name, s in named.items())]


def f1_score(precision: float, recall: float) -> float:
    """2 P R / (P + R): near the smaller of both, 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def report_of(names: Sequence[str], hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> ClassReport:
    """A report from counts [C] per class, 0 <= hits <= predicted and true. Raises DataError for counts that
    cannot be.
    """
    if not len(names) == len(hits) == len(predicted) == len(true):
        raise DataError(
            f"report: {len(names)} names for {len(hits)}, {len(predicted)} and {len(true)} counts"
        )
    if not len(names) or len(set(names)) < len(names):
        raise DataError(f"report: classes are {', '.join(names) or 'none'}; give at least one, and each but "
                        "once")
    if (np.minimum(predicted, true) < hits).any() or (np.asarray(hits) < 0).any():
        raise DataError("report: hits must not be negative, nor more than what is predicted or true")
    rows = [_scores(*map(int, counts)) for counts in zip(hits, predicted, true, strict=True)]
    micro = _scores(int(np.sum(hits)), int(np.sum(predicted)), int(np.sum(true)))
    return ClassReport(dict(zip(names, rows, strict=True)), micro, _mean(rows, [1] * len(rows)),
                  _mean(rows, [s.support for s in rows]))


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int, ignore: int = IGNORE) -> np.ndarray:
    """Counts [classes, classes]: row of the true label, column of the predicted one.

    true, predicted: integers of one shape, of any width; positions whose true label is `ignore` (padding) do not
    count. Raises DataError where shapes differ, for labels that are no integers, or for one outside 0 to
    classes - 1.
    """
    for labels in (true, predicted):
        if text := no_array(labels):
            raise DataError(f"metrics: labels and predictions must be NumPy arrays of integers, not {text}")
    if true.shape != predicted.shape:
        raise DataError(f"metrics: labels of shape {true.shape} against predictions of shape "
                        f"{predicted.shape}")
    if not all(labels.dtype.kind in "biu" for labels in (true, predicted)):
        raise DataError(f"metrics: labels are {true.dtype}, predictions {predicted.dtype}; both must be "
                        "integers, not scores")
    counted = true != ignore
    rows, columns = true[counted], predicted[counted]
    for what, labels in (("label", rows), ("prediction", columns)):
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise DataError(f"metrics: {what}s run from {labels.min()} to {labels.max()}, there are "
                            f"{classes} classes")
    cells = rows.astype(np.int64) * classes + columns.astype(np.int64)       # 8 bits do not hold 20 * 20
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def classification_report(true: np.ndarray, predicted: np.ndarray, names: Sequence[str], *,
                          only: Sequence[str] = (), ignore: int = IGNORE) -> ClassReport:
    """The report on labels, integers of one shape that stand for `names`. only: report these classes alone.

    Raises DataError as `confusion` does, or for a class that has no name.
    """
    if unknown := sorted(set(only) - set(names)):
        raise DataError(f"metrics: no class {', '.join(unknown)}; there are {', '.join(names)}")
    matrix = confusion(true, predicted, len(names), ignore)
    cells = [number for number, name in enumerate(names) if not only or name in only]
    return report_of([names[n] for n in cells], matrix.diagonal()[cells], matrix.sum(axis=0)[cells],
                     matrix.sum(axis=1)[cells])


def entities(tags: Sequence[str]) -> set[EntitySpan]:
    """The entities that BIO tags mark: B-X begins one of type X, I-X continues it, O is outside.

    An I-X that continues nothing of type X begins an entity, as in the CoNLL evaluation (Tjong Kim Sang and
    De Meulder 2003). Raises DataError for a tag of another form.
    """
    found, start, kind = set(), 0, ""                               # kind "": outside
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if not (tag == "O" or (prefix in ("B", "I") and name)):
            raise DataError(f"BIO tags: {tag!r} at position {position}; tags are O, B-TYPE and I-TYPE")
        if kind and (prefix != "I" or name != kind):
            found.add((start, position, kind))
            kind = ""
        if name and not kind:
            start, kind = position, name
    return found


def entity_report(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> ClassReport:
    """The report on entities of BIO-tagged sentences: one is a hit where start, end and type all agree.

    Classes are the types that occur, in alphabetical order. Raises DataError where sentences differ in number
    or length, or where there is no entity at all.
    """
    if [len(tags) for tags in true] != [len(tags) for tags in predicted]:
        raise DataError("entities: the sentences must be as many, and as long, as those predicted")
    pairs = [(entities(a), entities(b)) for a, b in zip(true, predicted, strict=True)]
    names = sorted({span[2] for pair in pairs for spans in pair for span in spans})
    if not names:
        raise DataError("entities: no tag marks an entity, neither a true nor a predicted one")
    counts = np.zeros((3, len(names)), int)                         # hits, predicted, true
    for a, b in pairs:
        for row, spans in zip(counts, (a & b, b, a), strict=True):
            for span in spans:
                row[names.index(span[2])] += 1
    return report_of(names, *counts)


def _scores(hits: int, predicted: int, true: int) -> ClassScores:
    precision, recall = hits / predicted if predicted else 0.0, hits / true if true else 0.0
    return ClassScores(precision, recall, f1_score(precision, recall), true)


def _mean(rows: Sequence[ClassScores], weights: Sequence[int]) -> ClassScores:
    """The mean of the rows' scores; all zero where all weights are. Its F1 is the mean of F1s, not the F1 of
    the means.
    """
    def mean(score: str) -> float:
        return sum(getattr(row, score) * weight
                   for row, weight in zip(rows, weights, strict=True)) / (sum(weights) or 1)

    return ClassScores(mean("precision"), mean("recall"), mean("f1"), sum(row.support for row in rows))
