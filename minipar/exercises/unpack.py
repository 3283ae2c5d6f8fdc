"""Checks the results that a driver unpacks. In the line

    grad_x, grad_a = submission.backward(x, g)

of a driver, Python also unpacks a dict, a set or a text. From a dict, grad_x would then be a key, and the
diagnosis would name a wrong type. So `checked` changes such lines of a driver, and `in_order` raises an error
unless the function returns a tuple, a list or an array of the right length.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from minipar.exercises.diagnose import shape_of
from minipar.exercises.submission_error import SubmissionError


def checked(driver: str) -> ast.Module:
    """Return the syntax tree of a driver in which `in_order` checks each result that is unpacked."""
    tree = ast.parse(driver)
    _Unpacking().visit(tree)
    return ast.fix_missing_locations(tree)


def in_order(results: Any, function: str, names: Sequence[str]) -> Any:
    """Return the results of a function of the submission. Raises SubmissionError unless they are a tuple, a
    list or an array with as many elements as `names`.

    >>> in_order((1, 2), "backward", ["grad_x", "grad_a"])
    (1, 2)
    """
    ordered = isinstance(results, tuple | list) or (isinstance(results, np.ndarray) and results.ndim > 0)
    if ordered and len(results) == len(names):
        return results
    order = ", ".join(name.replace("_", " ") for name in names)
    raise SubmissionError(f"{function} does not return what the task asks for: it returns "
                          f"{shape_of(results)}; it must return a tuple of {len(names)}, in the order "
                          f"({order})")


class _Unpacking(ast.NodeTransformer):
    """Changes `a, b = submission.f(x)` into `a, b = in_order(submission.f(x), "f", ("a", "b"))`. If f returns
    functions, the results of these functions are checked, too.
    """

    def __init__(self) -> None:
        self.made: dict[str, str] = {}  # name of a variable -> words for the function that it may hold

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target, function = node.targets[0], self._called(node.value)
        if function and isinstance(target, ast.Tuple):
            names = [ast.unparse(one) for one in target.elts]
            self.made |= {name: f"the function that {function} returns" for name in names}
            texts = ast.Tuple([ast.Constant(name) for name in names], ast.Load())
            about = [node.value, ast.Constant(function), texts]
            node.value = ast.Call(ast.Name("in_order", ast.Load()), about, [])
        return node

    def _called(self, value: ast.expr) -> str:
        """Return words for the function of the submission that `value` calls, else ""."""
        if not isinstance(value, ast.Call):
            return ""
        name = ast.unparse(value.func)
        return name.removeprefix("submission.") if name.startswith("submission.") else self.made.get(name, "")
