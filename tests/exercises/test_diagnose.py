"""Each pattern of a wrong array is told apart; a right array is none."""

from __future__ import annotations

import numpy as np
import pytest

from minipar.exercises.diagnose import Leaf, equal, misfit
from minipar.exercises.patterns import wrong_values
from minipar.exercises.wire import Opaque

P = 3
RNG = np.random.default_rng(1)
X = [RNG.standard_normal(4) for _ in range(P)]                      # the ranks' inputs
SUM = sum(X)
OWN = [RNG.standard_normal(4) for _ in range(P)]                    # what each rank should have, all different


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
    ([SUM, 2 * SUM, 5 * SUM], [SUM] * P, "a factor of its own"),
    ([SUM * (1 + 1e-9)] * P, [SUM] * P, "some digits only"),
    (X, [SUM] * P, "the sum of all ranks' parts is right"),
    ([X[0], X[1], X[2]], OWN, "own input"),
    ([SUM - x for x in X], [SUM] * P, "lacks this rank's own input"),
    ([SUM + x for x in X], [SUM] * P, "own input twice"),
    ([OWN[1], OWN[2], OWN[0]], OWN, "what rank r + 1 should have"),
    ([OWN[2], OWN[0], OWN[1]], OWN, "what rank r - 1 should have"),
    ([OWN[0]] * P, OWN, "what rank 0 should have"),
    ([OWN[0], OWN[1][::-1], OWN[2]], OWN, "another order on rank 1"),
    ([OWN[0], OWN[1] * np.nan, OWN[2]], OWN, "NaN on rank 1"),
    ([OWN[0], OWN[1] + np.inf, OWN[2]], OWN, "infinite on rank 1"),
    ([OWN[0], OWN[1] + [0, 1, 0, 0], OWN[2]], OWN, "1 of 4 elements on rank 1; the first is [1]"),
])
def test_the_pattern_of_a_wrong_array(got: list[np.ndarray], wanted: list[np.ndarray], words: str) -> None:
    assert words in wrong_values(leaf(got, wanted)).text


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
    (SUM, SUM.astype("f4"), "dtype float32"), ((SUM, SUM), (SUM,), "tuple of 1"), ({"y": SUM}, {"z": SUM}, "a dict with z"),
    (SUM, Opaque("generator"), "generator"), ([1.0], ["1"], "str"),
])
def test_what_is_no_result_of_the_right_form(wanted: object, got: object, words: str) -> None:
    found = misfit(wanted, got, 1)
    assert found is not None and words in found.text


def test_right_is_right() -> None:
    assert misfit((SUM, 1.0), (SUM, np.float64(1.0)), 0) is None
    assert equal(np.array([1.0, np.nan, np.inf]), np.array([1.0 + 1e-14, np.nan, np.inf]), 1e-12)
    assert not equal(np.array([np.inf]), np.array([-np.inf]), 1e-12)
    assert not equal(np.array([1.0, 1e-3]), np.array([1.0, 1e-3 + 1e-11]), 1e-12)
