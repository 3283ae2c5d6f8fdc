"""Each pattern of a wrong array is told apart; a right array is none."""

from __future__ import annotations

import numpy as np
import pytest

from minipar.exercises.diagnose import Leaf, equal, misfit
from minipar.exercises.patterns import advice_on_prediction, wrong_values
from minipar.exercises.unwritten import is_unwritten, marking
from minipar.exercises.wire import Opaque

P = 3
RNG = np.random.default_rng(1)
X = [RNG.standard_normal(4) for _ in range(P)]                      # the ranks' inputs
SUM: np.ndarray = sum(X, np.zeros(4))
UNWRITTEN = np.full(8, 255, np.uint8).view(float)[0]
OWN = [RNG.standard_normal(4) for _ in range(P)]  # what each rank should have, all different


def leaf(got: list[np.ndarray], wanted: list[np.ndarray], ranks: int = P) -> Leaf:
    return Leaf("", ranks, [(x,) for x in X[:ranks]], wanted, got, 1e-12)


@pytest.mark.parametrize("got, wanted, words", [
    ([P * SUM] * P, [SUM] * P, "3 times too large"),
    ([SUM / P] * P, [SUM] * P, "3 times too small"),
    ([-SUM] * P, [SUM] * P, "wrong sign"),
    ([0 * SUM] * P, [SUM] * P, "is 0"),
    ([2 * SUM] * P, [SUM] * P, "twice"),
    ([7 * SUM] * P, [SUM] * P, "7 times"),
    ([SUM, P * SUM, SUM], [SUM] * P, "3 times too large on rank 1"),
    ([SUM, 2 * SUM, 5 * SUM], [SUM] * P, "a different factor"),
    ([SUM * (1 + 1e-9)] * P, [SUM] * P, "first digits only"),
    (X, [SUM] * P, "the sum of all ranks' parts is right"),
    ([X[0], X[1], X[2]], OWN, "own input"),
    ([X[1], X[1], X[1]], [OWN[0]] * P, "is the input of rank 1 on all ranks"),
    ([OWN[0], X[0], OWN[0]], [OWN[0]] * P, "is the input of rank 0 on rank 1"),
    ([SUM - x for x in X], [SUM] * P, "lacks this rank's own input"),
    ([SUM + x for x in X], [SUM] * P, "own input twice"),
    ([OWN[1], OWN[2], OWN[0]], OWN, "what rank r + 1 should have"),
    ([OWN[2], OWN[0], OWN[1]], OWN, "what rank r - 1 should have"),
    ([OWN[0]] * P, OWN, "what rank 0 should have"),
    ([OWN[0], OWN[1][::-1], OWN[2]], OWN, "another order on rank 1"),
    ([X[0] + X[2], SUM, SUM], [SUM] * P, "rank 0 is the sum over ranks 0, 2 only"),
    ([X[1], SUM, SUM], [SUM] * P, "rank 0 is the sum over rank 1 only"),
    ([X[0][:2] + X[1][:2], SUM[2:3], SUM[3:]], [SUM[:2], SUM[2:3], SUM[3:]], "sum over ranks 0, 1 only"),
    ([OWN[0], np.full(4, UNWRITTEN), OWN[2]], OWN, "4 of 4 elements that were never written on rank 1"),
    ([OWN[0], OWN[1] + [0, 1, 0, UNWRITTEN], OWN[2]], OWN,
     "1 of 4 elements that were never written on rank 1"),
    ([SUM, SUM + [0, 1, 2, 0], SUM + [0, 1, 3, 0]], [SUM] * P, "differs between the ranks: [2] is"),
    ([np.array(1.5), np.array(1.5), np.array(0.5)], [np.array(2.5)] * P,
     "is 1.5 on rank 0 and 0.5 on rank 2; wanted is 2.5"),
    ([OWN[0], OWN[1] * np.nan, OWN[2]], OWN, "NaN on rank 1"),
    ([OWN[0], OWN[1] + np.inf, OWN[2]], OWN, "infinite on rank 1"),
    ([OWN[0], OWN[1] + [0, 1, 0, 0], OWN[2]], OWN, "1 of 4 elements on rank 1; the first is [1]"),
])
def test_the_pattern_of_a_wrong_array(got: list[np.ndarray], wanted: list[np.ndarray], words: str) -> None:
    assert words in wrong_values(leaf(got, wanted)).text


def test_an_argument_that_every_rank_adds() -> None:
    """A bias has fewer axes than the result."""
    y, bias = RNG.standard_normal((2, 4)), RNG.standard_normal(4)
    one = Leaf("", P, [(x, bias) for x in X], [y + bias] * P, [y + P * bias] * P, 1e-12)
    assert "contains argument 2 3 times" in wrong_values(one).text
    for times, words in ((P * P, "argument 2 9 times"), (0, "lacks argument 2"),
                         (2, "argument 2 twice")):
        one = Leaf("", P, [(x, bias) for x in X], [y + bias] * P, [y + times * bias] * P, 1e-12)
        assert words in wrong_values(one).text


@pytest.mark.parametrize("rows, words", [
    ([0, 1, 1], "in row 2 what row 1 should have"), ([2, 1, 2], "in row 0 what row 2"),
    ([1, 1, 1], "in row 0 what row 1")])
def test_rows_that_are_overwritten(rows: list[int], words: str) -> None:
    table = RNG.standard_normal((3, 4))
    assert words in wrong_values(Leaf("", 2, [(), ()], [table, table], [table[rows], table], 1e-12)).text


@pytest.mark.parametrize("got, want, words", [(1e6, 1.0, "unit"), (np.inf, 1.0, "overflows"), (10.0, 2.5, "it is 4 times the right number"), (2.5, 10.0, "4 times too small"),
                                              (2.5, 9.9, "by hand"), (0.3, -0.7, "by hand")])
def test_a_wrong_number_has_a_next_step(got: float, want: float, words: str) -> None:
    assert words in wrong_values(Leaf("", 1, [()], [np.array(want)], [np.array(got)], 1e-12)).advice


@pytest.mark.parametrize("got, wanted", [
    ("a\nb\n", "a\nb"), ("a\nb", "a\nb\n"), ("", "a"), ("a", ""), ("\n", ""), (" a", "a"), ("a\rb", "a\nb"),
    ("b", "a"), ("a\n\nb", "a\nb"), ("a\nb\nc", "a\nb"), ("a", "a\nb"), ("a\x85b", "a\nb"),
    ("a" * 500, "b" * 500)])
def test_each_difference_of_two_texts_has_one_line(got: str, wanted: str) -> None:
    text = wrong_values(Leaf("", 1, [()], [np.asarray(wanted)], [np.asarray(got)], 1e-12)).text
    assert text and "\n" not in text


def test_texts_with_the_right_lines_in_another_order() -> None:
    found = wrong_values(Leaf("", 1, [()], [np.asarray("a\nb\nc")], [np.asarray("a\nc\nb")], 1e-12))
    assert "another order: line 2 is 'c'" in found.text and "joined" in found.advice
    found = wrong_values(Leaf("", 1, [()], [np.asarray("hello")], [np.asarray("Hello")], 1e-12))
    assert "capital" in found.advice


@pytest.mark.parametrize("name, words", [("", "the result is 7 times"), ("[0]", "the first result"),
                                         ("[1]", "the second result"),
                                         ("loss", "the result 'loss'"),
                                         ("[0][1]", "the part [0][1] of the result"),
                                         ("[9]", "the part [9] of the result"), ("grad x", "'grad x'")])
def test_a_part_of_a_result_has_a_name_that_people_say(name: str, words: str) -> None:
    assert wrong_values(Leaf(name, P, [(x,) for x in X], [SUM] * P, [7 * SUM] * P, 1e-12)).text.startswith(
        words
    )


def test_arguments_have_the_names_of_the_stub() -> None:
    y, bias = RNG.standard_normal((2, 4)), RNG.standard_normal(4)
    one = Leaf("", P, [(x, bias) for x in X], [y + bias] * P, [y] * P, 1e-12, ("x", "bias"))
    assert "lacks argument bias" in wrong_values(one).text
    one = Leaf("", P, [(x, np.zeros(5)) for x in X], [SUM] * P, [5 * SUM] * P, 1e-12, ("x", "targets"))
    assert "length of targets" in wrong_values(one).advice


def test_parts_that_do_not_overlap_are_no_missing_sum() -> None:
    whole = np.concatenate(X)
    parts = [np.concatenate([x * (rank == other) for other, x in enumerate(X)]) for rank in range(P)]
    found = wrong_values(Leaf("", P, [(x,) for x in X], [whole] * P, parts, 1e-12))
    assert "own part" in found.text and "copy" in found.advice


def test_on_one_rank_no_message_is_missed() -> None:
    found = wrong_values(leaf([0 * SUM], [SUM], 1))
    assert "is 0" in found.text and "no message arrives" in found.advice


@pytest.mark.parametrize("got, want, words", [
    (1500, 12000, "bytes"), (24, 6, "counted 4 times"), (3, 6, "2 times too small"), (5, 6, "once more"),
    (0, 6, "once more"), (3, 0, "once more"), (-6, 6, "once more"), (np.inf, 6, "once more"),
    (np.nan, 6, "once more"), ("6", 6, "once more")])
def test_a_wrong_prediction_has_a_next_step(got: int, want: int, words: str) -> None:
    assert words in advice_on_prediction(Leaf("N", 1, [()], [np.asarray(want)], [np.asarray(got)], 1e-12))


@pytest.mark.parametrize("want, got, words", [
    ((SUM, SUM[:2]), (SUM[:2], SUM), "the second result should have this shape"), (SUM, SUM[:2], "see the shapes"),
    ({"grad x": np.zeros((2, 3)), "grad a": np.zeros((3, 4))},
     {"grad x": np.zeros((3, 4)), "grad a": np.zeros((2, 3))}, "order"),
    ({"A": 3}, {"A": "3"}, "without quotes")])
def test_a_result_of_another_form_has_a_next_step(want: object, got: object, words: str) -> None:
    found = misfit(want, got, 0, 1)
    assert found is not None and words in found.advice


def test_a_transposed_matrix() -> None:
    a = RNG.standard_normal((3, 3))
    assert "transposed" in wrong_values(Leaf("", 1, [()], [a], [a.T], 1e-12)).text


def test_random_arrays_that_are_wrong_never_break_the_diagnosis() -> None:
    """Any dtype, any special value, any number of ranks: there is always a line, and it is one line."""
    random = np.random.default_rng(2)
    for _ in range(300):
        p, n = int(random.integers(1, 5)), int(random.integers(1, 4))
        dtype = random.choice(["f8", "f4", "i8", "?", "u1"])
        wanted = [random.integers(0, 3, n).astype(dtype) for _ in range(p)]
        got = [random.integers(0, 3, n).astype(dtype) for _ in range(p)]
        if dtype[0] == "f":
            for array in (*got, *wanted):
                array[random.random(n) < 0.2] = random.choice([np.nan, np.inf, -np.inf, 1e38])
        one = Leaf("", p, [(array,) for array in wanted], wanted, got, 1e-12)
        if one.wrong:
            text = wrong_values(one).text
            assert text and "\n" not in text


@pytest.mark.parametrize("wanted, got, words", [
    (SUM, None, "returns None"), (SUM, list(SUM), "a list"), (SUM, SUM[:2], "shape (2,)"),
    (SUM, SUM.astype("f4"), "dtype float32"), ((SUM, SUM), (SUM,), "tuple of 1"),
    ({"y": SUM}, {"z": SUM}, "a dict with z"),
    (SUM, Opaque("generator"), "generator"),
    (["a", "b"], [["a"], ["b"]], "first element is a list of 1; wanted is a str"),
    (SUM, Opaque("ndarray"), "objects"), ({"x": [1.0], "y": 2.0}, {"y": 2.0, "x": 1.0}, "value of 'x' is a float; wanted is a list of 1"), ([1.0], ["1"], "str"),
])
def test_what_is_no_result_of_the_right_form(wanted: object, got: object, words: str) -> None:
    found = misfit(wanted, got, 1, 2)
    assert found is not None and words in found.text


def test_memory_that_was_never_written_is_marked_in_every_dtype() -> None:
    for dtype in ("f8", "f4", "f2", "c16", "i8", "u1"):
        array = marking(np.empty)((2, 3), dtype)
        assert (array.view(np.uint8) == 255).all() and marking(np.empty_like)(array).shape == (2, 3)
    assert not marking(np.empty)((), object) and marking(np.empty)(0).size == 0
    assert is_unwritten(marking(np.empty)((2, 3))).all() and not is_unwritten(np.array([np.nan, 0.0])).any()


def test_right_is_right() -> None:
    assert misfit((SUM, 1.0), (SUM, np.float64(1.0)), 0, 1) is None
    assert equal(np.array([1.0, np.nan, np.inf]), np.array([1.0 + 1e-14, np.nan, np.inf]), 1e-12)
    assert not equal(np.array([np.inf]), np.array([-np.inf]), 1e-12)
    assert not equal(np.array([1.0, 1e-3]), np.array([1.0, 1e-3 + 1e-11]), 1e-12)


@pytest.mark.parametrize(("got", "wanted", "right"), [
    (1, 0.998, True), (0, 0.998, False), (-39, -39.0, True), (0.999, 1, True), (1, 2, False),
    ("a", "a", True), ("a", 1.0, False), (np.nan, 1.0, False)])
def test_a_tolerance_holds_also_if_a_student_writes_a_whole_number(
    got: object, wanted: object, right: bool
) -> None:
    assert equal(np.asarray(got), np.asarray(wanted), 0.02) is right
