"""The order of weights is chosen by the given clock, and changes no output but by rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

import minipar as mp
from minipar.autograd import Tensor, embedding, unembedding
from minipar.graph import capture, choose_layouts, optimise
from minipar.graph.layouts import seconds_in_turns
from tests.graph.functions import array, largest_difference, random_gpt

TINY = mp.ModelConfig(vocabulary=11, context=8, layers=2, heads=2, width=8)
TOKENS = np.random.default_rng(1).integers(11, size=(2, 8))


def columns_first(programs: Sequence[Callable[[], object]]) -> list[float]:
    """A clock on which the second order is twice as fast."""
    for program in programs:
        program()
    return [2.0, 1.0]


def test_the_faster_order_is_chosen() -> None:
    graph = optimise(capture(random_gpt(TINY), TOKENS)).graph
    other, choices = choose_layouts(graph, columns_first)
    matrices = {
        name: array for name, array in other.constants.items() if array.ndim == 2 and min(array.shape) > 1
    }
    in_columns = {name for name, array in matrices.items() if array.flags.f_contiguous}
    assert set(matrices) - in_columns == {
        "tokens.weight",
        "positions.weight",
    }  # the look-up reads the first one, too
    assert {choice.shape for choice in choices} == {(16, 8, 24), (16, 8, 8), (16, 8, 32), (16, 32, 8)}
    assert len(choices) == 4 and all(choice.chosen == "columns" for choice in choices)
    assert [choice.seconds for choice in choices] == [{"rows": 2.0, "columns": 1.0}] * 4
    assert largest_difference(graph, other, TOKENS[::-1]) < 1e-12


@pytest.mark.parametrize(
    "seconds, chosen", [([1.0, 2.0], "rows"), ([1.0, 0.97], "rows"), ([1.0, 0.9], "columns")]
)
def test_a_small_difference_changes_nothing(seconds: list[float], chosen: str) -> None:
    graph = capture(lambda x: x @ Tensor(array(4, 8)), Tensor(array(2, 4)))
    other, (choice,) = choose_layouts(graph, lambda programs: seconds)
    assert choice.chosen == chosen
    assert other.constants["constant.0"].flags.c_contiguous == (chosen == "rows")


def test_an_order_that_is_there_already_stays_until_another_is_faster() -> None:
    weight = Tensor(np.asfortranarray(array(4, 8)))
    graph = capture(lambda x: x @ weight, Tensor(array(2, 4)))
    for seconds, chosen in (([1.0, 1.0], "columns"), ([0.5, 1.0], "rows")):
        assert choose_layouts(graph, lambda programs, s=seconds: s)[1][0].chosen == chosen


def test_a_table_of_the_head_alone_is_measured_transposed() -> None:
    table, x = Tensor(array(9, 4)), Tensor(array(2, 4))
    seen = []

    def measure(programs: Sequence[Callable[[], object]]) -> list[float]:
        seen.extend(program() for program in programs)
        return [2.0, 1.0]

    graph = capture(lambda x: unembedding(x, table), x)
    other, (choice,) = choose_layouts(graph, measure)
    assert choice.shape == (2, 4, 9) and [one.shape for one in seen] == [(2, 9), (2, 9)]
    np.testing.assert_allclose(seen[0], np.ones((2, 4)) @ table.data.T)
    assert largest_difference(graph, other, array(2, 4, seed=1)) < 1e-12
    tied = capture(lambda tokens: unembedding(embedding(tokens, table), table), np.array([1, 2]))
    assert choose_layouts(tied, measure)[1] == []


def test_seconds_are_the_least_of_rounds_in_turns() -> None:
    calls: list[str] = []
    seconds = seconds_in_turns([lambda: calls.append("a"), lambda: calls.append("b")], rounds=3)
    assert calls == ["a", "b"] * 3 and len(seconds) == 2 and min(seconds) >= 0


def test_the_real_clock_gives_an_equal_graph() -> None:
    graph = capture(random_gpt(TINY), TOKENS)
    other, choices = choose_layouts(graph)
    assert {choice.chosen for choice in choices} <= {"rows", "columns"}
    assert largest_difference(graph, other, TOKENS[::-1]) < 1e-12
