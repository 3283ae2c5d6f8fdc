"""A prediction beside the answer."""

from fractions import Fraction

import numpy as np
import pytest

from minipar.classroom.predictions import judged, number_in


@pytest.mark.parametrize("text, number", [
    ("12", 12), ("1e6", 1e6), ("3/4", 0.75), ("12.5 %", 0.125), ("2 KiB", 2048), ("30 ms", 0.03),
    ("1,000", 1000), (" .5 ", 0.5), ("-3", -3)])
def test_numbers_as_people_write_them(text: str, number: float) -> None:
    assert number_in(text) == pytest.approx(number, rel=1e-15)


@pytest.mark.parametrize("text", ["", "many", "1/0", "3 apples", "1e9999", "9" * 41, "--3", "nan"])
def test_what_is_no_number(text: str) -> None:
    assert number_in(text) is None


@pytest.mark.parametrize("prediction, answer, unit, verdict", [
    ("12", 12, "", "right"), ("11.95", 12, "", "right"), ("11", 12, "", "divided by 1.09"),
    ("24", 12, "", "2 times"), ("1/4", Fraction(1, 4), "", "right"), ("4 MiB", 4, "MiB", "right"),
    ("4", 4, "MiB", "right"), ("4 MiB", 4 << 20, "bytes", "right"), ("0", 0, "", "right"),
    ("1", 0, "", "not near"), ("-1", 1, "", "not near"), ("3", np.float64(3), "", "right"),
    ("25 %", 25.0, "%", "right"), ("50 %", 25, "%", "2 times the"), ("3 Times", 3.0, "times", "right"),
    ("all-reduce", "All-reduce", "", "right"), ("gather", "all-reduce", "", "compare"),
    ("yes", True, "", "compare")])
def test_how_near(prediction: str, answer: object, unit: str, verdict: str) -> None:
    assert verdict in judged(prediction, answer, unit)


def test_no_prediction_no_verdict() -> None:
    assert judged("", 3) == ""
