"""Each conjugate operator against its own docstring: "P -> I: an all-reduce in forward, a no-op in backward".

An operator moves a value from one way of sitting on the ranks to another, and does not change it. So the
whole value that stands behind the ranks' arrays is the same before and after: the common array for I and R,
the sum for P, the shares side by side for V. The gradient of R is P and that of P is R, and backward does not
change what stands behind it either. From this one rule follow the right values and gradients of every
operator, whatever its type; differences of the whole function confirm them.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from minipar.autograd import Tensor, backward, record
from minipar.comm.collectives import all_gather, all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting
from minipar.parallel import operators
from minipar.parallel.operators import copy_to_region, gather_from_sequence
from minipar.rng import stream
from tests.ranks import ranks

Operator = Callable[..., Tensor]
Check = Callable[[Communicator, Operator], None]

OPERATORS = {name: function for name, function in vars(operators).items()
             if inspect.isfunction(function) and function.__module__ == operators.__name__
             and next(iter(inspect.signature(function).parameters.values())).annotation == "Tensor"}
WORD = r"(?:an?|the rank's) (\S+)"
TYPE = re.compile(rf"([IRVP]) -> ([IRVP]): {WORD}.*? in forward, {WORD}.*? in backward")
CALLS = {"no-op": [], "own": [], "all-reduce": ["all_reduce sum"], "reduce-scatter": ["reduce_scatter sum"],
         "all-gather": ["all_gather"], "all-to-all": ["all_to_all"]}
GRADIENT = {"I": "I", "V": "V", "R": "P", "P": "R"}
COUNTS = (2, 1, 3, 0)  # places of each rank, where an operator takes counts


def type_of(operator: Operator) -> tuple[str, str, str, str]:
    """(type before, type after, what is done forward, what backward), as the docstring says."""
    found = TYPE.match(" ".join((operator.__doc__ or "").split()))
    assert found, f"{operator.__name__} does not say its type: {operator.__doc__}"
    return found.group(1), found.group(2), found.group(3), found.group(4)


def cases(operator: Operator, size: int) -> Iterator[tuple[tuple[int, ...], int, int, dict[str, Any]]]:
    """(shape of the whole, axis of the shares before, and after, further arguments) of several calls of an
    operator.
    """
    takes = inspect.signature(operator).parameters
    if "counts" in takes:
        counts = list(COUNTS[:size])
        for axis in (takes["axis"].default, 0, -1):
            shape = [2, 1, 2]
            shape[axis] = sum(counts)
            yield tuple(shape), axis % 3, axis % 3, dict(counts=counts, axis=axis)
    elif "split" in takes:
        for split, join in ((2, 1), (1, 2), (0, 2)):
            shape = [2, 2, 2]
            shape[split], shape[join] = size, 2 * size
            yield tuple(shape), join, split, dict(split=split, join=join)
    else:
        yield (2, 3), 0, 0, {}
        yield (), 0, 0, {}


def behind(kind: str, mine: np.ndarray, comm: Communicator, axis: int) -> np.ndarray:
    """The whole value behind the ranks' arrays; asserts that they sit as their type says."""
    arrays = everywhere(mine, comm)
    if kind == "P":
        return np.sum(arrays, axis=0)
    if kind == "V":
        return np.concatenate(arrays, axis)
    assert all(np.array_equal(array, arrays[0]) for array in arrays), f"{kind} must be the same on all ranks"
    return arrays[0]


def everywhere(mine: np.ndarray, comm: Communicator) -> list[np.ndarray]:
    """Each rank's array, of any shapes, on every rank."""
    sizes = all_gather(comm, np.array([[*mine.shape]]), label="shapes")
    lengths = [int(np.prod(shape)) for shape in sizes]
    flat = all_gather(comm, np.ascontiguousarray(mine).reshape(-1), counts=lengths, label="arrays")
    return [part.reshape(shape) for part, shape in zip(np.split(flat, np.cumsum(lengths)[:-1]), sizes,
                                                       strict=True)]


def seat(kind: str, whole: np.ndarray, comm: Communicator, axis: int,
         arguments: dict[str, Any]) -> np.ndarray:
    """This rank's array, when the whole value sits on the ranks in this way."""
    if kind == "P":                                                 # parts that look nothing like the whole
        parts = stream(1, "parts").normal(size=(comm.size, *whole.shape))
        return np.asarray(parts[comm.rank] + (whole - parts.sum(axis=0)) / comm.size)
    if kind == "V":
        counts = arguments.get("counts") or [whole.shape[axis] // comm.size] * comm.size
        return np.split(whole, np.cumsum(counts)[:-1], axis)[comm.rank].copy()
    return whole.copy()


@dataclass
class Trial:
    """One call of an operator with its backward, on one rank."""

    told: str
    x: Tensor
    y: Tensor
    grad: np.ndarray                                                # of y, as backward was given it
    calls: tuple[list[str], list[str]]  # collectives entered, forward and backward
    axes: tuple[int, int]                                           # along which the shares of x and of y lie
    again: Callable[[np.ndarray], np.ndarray]                       # forward of another x


def trials(comm: Communicator, operator: Operator) -> Iterator[Trial]:
    before, after, _, _ = type_of(operator)
    for shape, axis_before, axis_after, arguments in cases(operator, comm.size):
        counting = Counting(comm)
        x = Tensor(seat(before, stream(0, "x").normal(size=shape), comm, axis_before, arguments),
                   requires_grad=True)
        kept = x.data.copy()
        y = operator(x, counting, "test", **arguments)
        forward = calls(counting)
        grad = seat(GRADIENT[after], stream(0, "gradient").normal(size=shape), comm, axis_after, arguments)
        backward(y, grad)
        told = f"{operator.__name__} of {shape} {arguments}"
        assert np.array_equal(x.data, kept), f"{told} writes to its input"
        yield Trial(told, x, y, grad, (forward, calls(counting)), (axis_before, axis_after),
                    lambda other, arguments=arguments: operator(Tensor(other), comm, "differences",
                                                                **arguments).data)


def check_communication(comm: Communicator, operator: Operator) -> None:
    """What is sent, forward and backward, is what the docstring says."""
    _, _, forward, back = type_of(operator)
    for trial in trials(comm, operator):
        assert trial.calls[0] == CALLS[forward], f"{trial.told}: forward {trial.calls[0]}, not {forward}"
        assert trial.calls[1] == CALLS[forward] + CALLS[back], (
            f"{trial.told}: backward {trial.calls[1]}, not {back}"
        )


def check_type(comm: Communicator, operator: Operator) -> None:
    """Value and gradient sit on the ranks as the docstring says, and what stands behind them does not
    change.
    """
    before, after, _, _ = type_of(operator)
    for trial in trials(comm, operator):
        axis, other_axis = trial.axes
        close(behind(after, trial.y.data, comm, other_axis), behind(before, trial.x.data, comm, axis),
              f"{trial.told}: value")
        assert trial.x.grad is not None
        close(behind(GRADIENT[before], trial.x.grad, comm, axis),
              behind(GRADIENT[after], trial.grad, comm, other_axis), f"{trial.told}: gradient")


def check_differences(comm: Communicator, operator: Operator) -> None:
    """The gradient is the slope of the whole function: the sum over ranks of y . grad, where what is
    invariant counts once.
    """
    before, after, _, _ = type_of(operator)
    for trial in trials(comm, operator):
        def value(x: np.ndarray, trial: Trial = trial) -> float:
            product = np.array([(trial.again(x) * trial.grad).sum()])
            return all_reduce(comm, product, "mean" if after == "I" else "sum", label="differences").item()

        assert trial.x.grad is not None
        close(differences(value, trial.x.data, before, comm), trial.x.grad, f"{trial.told}: differences",
              1e-8)


def calls(comm: Counting) -> list[str]:
    return [op for (op,), tally in comm.traffic.by("op").items() for _ in range(tally.calls)]


def close(got: np.ndarray, expected: np.ndarray, what: str, bound: float = 1e-13) -> None:
    assert got.shape == expected.shape and np.all(abs(got - expected) <= bound * (1 + abs(expected))), what


def differences(value: Callable[[np.ndarray], float], x: np.ndarray, kind: str,
                comm: Communicator) -> np.ndarray:
    """d value / d x for each element of this rank's x. Where x is I, all ranks' copies move together, else
    one rank's alone.
    """
    gradient = np.zeros_like(x)
    for mover in range(comm.size if kind != "I" else 1):
        moves = kind == "I" or comm.rank == mover
        (length,) = everywhere(np.array([x.size]), comm)[mover]
        for place in range(length):
            step = np.zeros(x.shape)
            if moves:
                step.reshape(-1)[place] = 1e-3
            slope = (value(x + step) - value(x - step)) / 2e-3
            if moves:
                gradient.reshape(-1)[place] = slope
    return gradient


def test_every_operator_says_its_type() -> None:
    types = {name: type_of(operator)[:2] for name, operator in OPERATORS.items()}
    assert types == {
        "copy_to_region": ("I", "R"), "reduce_from_region": ("P", "I"), "gather_from_sequence": ("V", "R"),
        "reduce_scatter_to_sequence": ("P", "V"), "gather_from_region": ("V", "I"),
        "scatter_to_region": ("I", "V"), "exchange_axes": ("V", "V")}


@pytest.mark.parametrize("name", OPERATORS)
@ranks(1, 2, 3, 4, mpi=(2, 3))
def test_every_operator_does_what_its_docstring_says(comm: Communicator, name: str) -> None:
    for check in (check_communication, check_type, check_differences):
        check(comm, OPERATORS[name])


# The same checks on planted mistakes.

def f_forgotten(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """I -> R: a no-op in forward, an all-reduce in backward."""
    return record(x.data, (x,), lambda g: (g,))


def g_self_dual(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """P -> I: an all-reduce in forward, a no-op in backward."""
    return record(all_reduce(comm, x.data, label=label), (x,), lambda g: (all_reduce(comm, g, label=label),))


def g_self_dual_and_says_so(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """P -> I: an all-reduce in forward, an all-reduce in backward."""
    return g_self_dual(x, comm, label)


def f_with_the_type_of_g(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """P -> I: a no-op in forward, an all-reduce in backward."""
    return copy_to_region(x, comm, label)


def f_of_the_mean(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """I -> R: a no-op in forward, an all-reduce in backward."""
    return record(x.data, (x,), lambda g: (all_reduce(comm, g, label=label) / comm.size,))


def f_twice(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """I -> R: a no-op in forward, an all-reduce in backward."""
    return record(x.data, (x,), lambda g: (all_reduce(comm, all_reduce(comm, g, label=label) / comm.size,
                                                      label=label),))


def the_other_all_gather(x: Tensor, comm: Communicator, label: str, counts: list[int],
                         axis: int = 1) -> Tensor:
    """V -> I: an all-gather in forward, a reduce-scatter in backward."""
    return gather_from_sequence(x, comm, label, counts, axis)


def half_of_the_sum(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """P -> I: an all-reduce in forward, a no-op in backward."""
    return record(all_reduce(comm, x.data, label=label) / 2, (x,), lambda g: (g,))


def f_in_place(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """I -> R: a no-op in forward, an all-reduce in backward."""
    y = copy_to_region(x, comm, label)
    x.data += 1
    return y


@pytest.mark.parametrize("operator, check, light", [
    (f_forgotten, check_communication, "backward [], not all-reduce"),
    (f_forgotten, check_type, "I must be the same on all ranks"),
    (f_forgotten, check_differences, ": differences"),
    (g_self_dual, check_communication, "backward ['all_reduce sum', 'all_reduce sum'], not no-op"),
    (g_self_dual_and_says_so, check_type, ": gradient"),
    (g_self_dual_and_says_so, check_differences, ": differences"),
    (f_with_the_type_of_g, check_type, "I must be the same on all ranks"),
    (f_of_the_mean, check_type, ": gradient"),
    (f_of_the_mean, check_differences, ": differences"),
    (f_twice, check_communication, "backward ['all_reduce sum', 'all_reduce sum'], not all-reduce"),
    (the_other_all_gather, check_type, ": gradient"),
    (the_other_all_gather, check_differences, ": differences"),
    (half_of_the_sum, check_type, ": value"),
    (f_in_place, check_type, "writes to its input"),
])
def test_the_checks_see_a_wrong_operator(operator: Operator, check: Check, light: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(light)):
        run(3, check, operator)


def test_an_operator_without_a_type_is_seen() -> None:
    def mute(x: Tensor, comm: Communicator, label: str) -> Tensor:
        """Copies."""
        return x

    with pytest.raises(AssertionError, match="mute does not say its type"):
        type_of(mute)
