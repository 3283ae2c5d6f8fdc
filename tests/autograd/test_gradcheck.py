"""The gradient check finds what is wrong, and says where. A check that cannot fail proves nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from minipar.autograd import Tensor, gradcheck, mean, no_grad, record, sum, tanh
from minipar.errors import ShapeError
from tests.refusals import refused


def product(a: Tensor, b: Tensor, change: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """a @ b, the gradient of b spoilt by `change`."""
    x, y = a.data, b.data
    return record(x @ y, (a, b), lambda g: (g @ y.T, change(x.T @ g)))


def leaves() -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    return {name: Tensor(rng.standard_normal(shape), requires_grad=True)
            for name, shape in (("a", (3, 4)), ("b", (4, 5)))}


def one_element_off(g: np.ndarray) -> np.ndarray:
    g[2, 3] += 1e-5 * abs(g).max()
    return g


def sign_of_one_row(g: np.ndarray) -> np.ndarray:
    g[1] *= -1
    return g


def not_a_number(g: np.ndarray) -> np.ndarray:
    g[3, 0] = np.nan
    return g


def check(change: Callable[[np.ndarray], np.ndarray]) -> dict:
    inputs = leaves()
    return {c.name: c for c in gradcheck(lambda: sum(tanh(product(inputs["a"], inputs["b"], change))),
                                         inputs)}


def test_right_gradients_pass_far_below_the_bound() -> None:
    assert max(c.error for c in check(lambda g: g).values()) < 1e-9


@pytest.mark.parametrize("change, place", [
    (one_element_off,    lambda index: index == (2, 3)),
    (sign_of_one_row,    lambda index: index[0] == 1),
    (not_a_number,       lambda index: index == (3, 0)),
    (lambda g: 2 * g,    lambda index: True),                       # a factor too many
    (lambda g: g / 3,    lambda index: True),                       # a mean where a sum belongs
    (np.zeros_like,      lambda index: True),                       # an input that was forgotten
    (lambda g: g[::-1],  lambda index: True),
])
def test_wrong_gradients_are_found_where_they_are(change: Callable, place: Callable) -> None:
    checks = check(change)
    assert checks["a"].error < 1e-9
    assert checks["b"].error > 1e-6 and place(checks["b"].index), str(checks["b"])
    assert checks["random direction"].error > 1e-7
    assert max(c.error for c in checks.values()) > 1e-6             # also where it is not a number
    assert str(checks["b"]).startswith(f"b[{checks['b'].index[0]}, {checks['b'].index[1]}]: backward says")


def test_an_input_off_the_tape_is_found() -> None:
    """Used through its array alone, so that no gradient ever comes."""
    inputs = leaves()
    a, b = inputs.values()
    checks = {c.name: c for c in gradcheck(lambda: sum(a @ b.data), inputs)}
    assert checks["a"].error < 1e-9
    assert checks["b"].error == pytest.approx(1) and checks["b"].exact == 0


def test_an_unused_input_has_no_error() -> None:
    inputs = leaves()
    assert max(c.error for c in gradcheck(lambda: mean(tanh(inputs["a"])), inputs)) < 1e-9


def test_inputs_end_as_they_began() -> None:
    inputs = leaves()
    before = {name: leaf.data for name, leaf in inputs.items()}
    values = {name: leaf.data.copy() for name, leaf in inputs.items()}
    gradcheck(lambda: sum(inputs["a"] @ inputs["b"]), inputs)
    for name, leaf in inputs.items():
        assert leaf.data is before[name] and leaf.grad is None
        np.testing.assert_array_equal(leaf.data, values[name])


def test_inputs_are_put_back_when_the_function_fails() -> None:
    inputs = leaves()
    before, calls = inputs["a"].data, []

    def fails_later() -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("planted")
        return sum(inputs["a"])

    with pytest.raises(RuntimeError, match="planted"):
        gradcheck(fails_later, inputs)
    assert inputs["a"].data is before


def test_empty_and_scalar_inputs() -> None:
    empty, scalar = Tensor(np.ones((0, 3)), requires_grad=True), Tensor(np.array(0.7), requires_grad=True)
    checks = gradcheck(lambda: sum(empty) + tanh(scalar), {"empty": empty, "scalar": scalar})
    assert max(c.error for c in checks) < 1e-9


def test_single_precision_is_refused() -> None:
    with refused(ShapeError, "float32", item="a"):
        gradcheck(lambda: Tensor(1.0), {"a": Tensor(np.ones(2, np.float32), requires_grad=True)})


def test_differences_record_nothing() -> None:
    inputs, recorded = leaves(), []

    def function() -> Tensor:
        out = sum(inputs["a"])
        recorded.append(out.node is not None)
        return out

    gradcheck(function, inputs)
    assert recorded[0] and not any(recorded[1:])
    with no_grad():
        assert function().node is None
