"""A result that a driver cannot unpack in the right order is named; what can be unpacked arrives unchanged."""

from __future__ import annotations

import ast
import types
from typing import Any

import numpy as np
import pytest

from minipar.exercises.calls import load_driver
from minipar.exercises.catalogue import every
from minipar.exercises.submission_error import SubmissionError
from minipar.exercises.unpack import checked

DRIVER = """
def drive(submission, comm, value):
    def inner():
        first, second = submission.pair(value)
        return first, second
    return inner()
"""
CLOSURE = """
def drive(submission, comm, value):
    y, back = submission.pair((1, lambda: value))
    (grad_x, grad_w) = back()
    return grad_x, grad_w
"""
SUBMISSION = types.SimpleNamespace(pair=lambda value: value)


@pytest.mark.parametrize("driver", [DRIVER, CLOSURE])
@pytest.mark.parametrize("value, words", [
    ({"grad_x": 1, "grad_w": 2}, "a dict with grad_x, grad_w"), ({1, 2}, "a set"), ("ab", "a str"),
    ((1, 2, 3), "a tuple of 3"), ([1], "a list of 1"), (None, "None"), (np.zeros(()), "an array"),
    (np.zeros((3, 2)), "an array of shape (3, 2)"), (iter([1, 2]), "a list_iterator"), (7, "an int")])
def test_the_type_and_the_order_are_named(driver: str, value: Any, words: str) -> None:
    drive = load_driver(driver)
    assert drive is not None
    with pytest.raises(SubmissionError) as caught:
        drive(SUBMISSION, None, value)
    said = str(caught.value)
    assert "pair" in said and words in said and "a tuple of 2" in said and "in the order" in said


@pytest.mark.parametrize("driver", [DRIVER, CLOSURE])
@pytest.mark.parametrize("value", [(1, 2), [1, 2], np.array([1, 2])])
def test_what_has_an_order_arrives(driver: str, value: Any) -> None:
    drive = load_driver(driver)
    assert drive is not None and drive(SUBMISSION, None, value) == (1, 2)


def test_every_line_of_a_driver_that_unpacks_a_result_is_checked() -> None:
    """No driver of an exercise unpacks the result of a submission in a way that `checked` does not know."""
    seen = 0
    for exercise in every():
        tree = checked(exercise.driver())
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple | ast.List):
                text = ast.unparse(node.value)
                assert "submission." not in text or text.startswith("in_order("), (exercise.name, text)
                seen += text.startswith("in_order(")
    assert seen >= 10
