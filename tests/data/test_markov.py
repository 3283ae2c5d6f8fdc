"""The floor that the loss cannot pass: closed forms, and the samples agree with them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipar.data.markov import MarkovSource
from minipar.errors import DataError


def entropy(*probabilities: float) -> float:
    return -sum(p * np.log(p) for p in probabilities if p)


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_two_states_have_a_closed_form(a: float, b: float) -> None:
    """0 -> 1 with probability a, 1 -> 0 with b: pi = (b, a) / (a + b)."""
    source = MarkovSource([[1 - a, a], [b, 1 - b]])
    np.testing.assert_allclose(source.stationary, [b / (a + b), a / (a + b)], rtol=0, atol=1e-13)
    rate = (b * entropy(a, 1 - a) + a * entropy(b, 1 - b)) / (a + b)
    assert source.entropy_rate == pytest.approx(rate, abs=1e-13)


def test_extremes() -> None:
    uniform = MarkovSource(np.full((7, 7), 1 / 7))
    assert uniform.entropy_rate == pytest.approx(np.log(7), abs=1e-14)
    cycle = MarkovSource(np.roll(np.eye(5), 1, axis=1))  # 0, 1, 2, 3, 4, 0, ...: nothing is left to guess
    tokens = cycle.sample(100, seed=0)
    assert cycle.entropy_rate == 0 and cycle.cross_entropy(tokens) == 0
    np.testing.assert_array_equal(np.diff(tokens) % 5, 1)
    assert MarkovSource([[1.0]]).sample(3, seed=0).tolist() == [0, 0, 0]


def test_stationary_distribution_stays_as_it_is() -> None:
    source = MarkovSource.random(65, seed=0)
    np.testing.assert_allclose(source.stationary @ source.transition, source.stationary, rtol=0, atol=1e-15)
    assert source.stationary.sum() == pytest.approx(1, abs=1e-15) and (source.stationary >= 0).all()


def test_samples_follow_the_matrix() -> None:
    """Counts of pairs lie within 5 standard deviations, and pairs of probability 0 never come up."""
    source = MarkovSource([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
    tokens = source.sample(200_000, seed=1)
    pairs = np.zeros((3, 3))
    np.add.at(pairs, (tokens[:-1], tokens[1:]), 1)
    visits = pairs.sum(1, keepdims=True)
    spread = np.sqrt(visits * source.transition * (1 - source.transition))
    assert (abs(pairs - visits * source.transition) <= 5 * spread).all()
    assert pairs[0, 0] == pairs[1, 2] == 0


def test_the_first_token_is_stationary() -> None:
    source = MarkovSource([[0.9, 0.1], [0.3, 0.7]])
    ones = sum(int(source.sample(1, seed)[0]) for seed in range(4000))
    assert abs(ones - 1000) < 5 * np.sqrt(4000 * 0.25 * 0.75)


def test_the_perfect_model_loses_the_entropy_rate_and_any_other_more() -> None:
    """Another model Q loses more by sum pi_i P_ij log(P_ij / Q_ij), the divergence of its predictions."""
    source = MarkovSource.random(20, seed=0, concentration=0.5)
    blurred = MarkovSource(0.95 * source.transition + 0.05 / 20)
    tokens = source.sample(300_000, seed=2)
    loss = -np.log(source.transition[tokens[:-1], tokens[1:]])
    excess = -np.log(blurred.transition[tokens[:-1], tokens[1:]]) - loss
    assert source.cross_entropy(tokens) == pytest.approx(loss.mean(), abs=1e-12)
    assert blurred.cross_entropy(tokens) == pytest.approx((loss + excess).mean(), abs=1e-12)
    divergence = source.stationary @ (source.transition
                                      * np.log(source.transition / blurred.transition)).sum(1)
    assert abs(loss.mean() - source.entropy_rate) < 5 * loss.std() / np.sqrt(len(loss))
    assert abs(excess.mean() - divergence) < 5 * excess.std() / np.sqrt(len(loss)) < divergence


def test_a_pair_that_never_comes_up_costs_infinity() -> None:
    source = MarkovSource([[0.0, 1.0], [0.5, 0.5]])
    assert source.cross_entropy(np.array([0, 1, 1, 0])) < np.inf == source.cross_entropy(np.array([0, 0, 1]))


def test_seeds() -> None:
    source = MarkovSource.random(10, seed=0)
    np.testing.assert_array_equal(MarkovSource.random(10, seed=0).transition, source.transition)
    assert (MarkovSource.random(10, seed=1).transition != source.transition).any()
    np.testing.assert_array_equal(source.sample(500, seed=3), source.sample(500, seed=3))
    assert (source.sample(500, seed=3) != source.sample(500, seed=4)).any()
    assert source.sample(0, seed=3).shape == (0,) and source.sample(1, seed=3).dtype == np.int32


def test_smaller_concentration_lowers_the_floor() -> None:
    rates = [MarkovSource.random(30, 0, concentration).entropy_rate
             for concentration in (0.02, 0.1, 1.0, 100.0)]
    assert rates == sorted(rates) and rates[-1] < np.log(30)


@pytest.mark.parametrize("matrix, said", [
    ([[0.5, 0.5]], r"square; got shape \(1, 2\)"),
    ([0.5, 0.5], "square"),
    (np.zeros((0, 0)), "square"),
    ([[0.5, 0.5], [0.5, 0.6]], "row 1 does not"),
    ([[0.5, 0.5], [1.5, -0.5]], "row 1 does not"),
    ([[np.nan, 0.5], [0.5, 0.5]], "row 0 does not"),
    (np.eye(2), "no transition connects"),
])
def test_matrices_that_are_no_source(matrix: list, said: str) -> None:
    with pytest.raises(DataError, match=said):
        MarkovSource(matrix)


def test_states_that_are_left_for_good_are_no_second_part() -> None:
    assert MarkovSource(np.array([[0.5, 0.5, 0], [0, 0, 1], [0, 1, 0]])).entropy_rate == pytest.approx(
        0, abs=1e-14
    )
