"""Checks an array from the user. It finds values that NumPy would convert to other values without an error.

`np.asarray` drops the mask of a masked array, converts a Tensor and None to objects, and reads "1.5" as a
string. Arithmetic drops imaginary parts and converts booleans to 0 and 1. So every public function that takes
an array (Tensor, collectives, optimisers, quantisation, metrics, tokens) calls `refusal`. The caller then
raises its own type of error with the returned text:

    if text := refusal(x, "f"):
        raise ShapeError(f"quantise: needs an array of floats, not {text}")
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]                                   # arrays by name, as in a state
Shapes = dict[str, tuple[int, ...]]                              # shapes of a model's arrays, by name

NAMES = {"b": "booleans", "i": "integers", "u": "integers", "f": "floats", "c": "complex numbers",
         "O": "objects", "S": "byte strings", "U": "strings", "T": "strings", "M": "dates", "m": "durations",
         "V": "a structured array"}
REMEDIES = {"b": "count them or convert them yourself, with .astype", "i": "convert them with .astype",
            "u": "convert them with .astype", "f": "convert them with .astype",
            "c": "take .real and .imag, one array each", "V": "take its fields, one array each"}
OTHERWISE = "convert them to numbers first"


def refusal(value: object, kinds: str = "fiu") -> str:
    """Returns "" for a plain array of numbers of these kinds. For any other value, returns a text with the
    reason.

    kinds: letters of NumPy's dtype.kind: f for floats, i and u for integers, b for booleans, c for complex
    numbers. The text continues the sentence "needs a NumPy array, not ...", and says what to pass instead.
    """
    if text := no_array(value):
        return text
    return wrong_kind(value.dtype, kinds)                           # type: ignore[attr-defined]


def no_array(value: object) -> str:
    """Returns the same text as `refusal` for a value that is not a plain array. It does not check the dtype.
    """
    if type(value) is np.ndarray:  # the usual case: collectives call this function for every array
        return ""
    if value is None:
        return "None; if this is a gradient, there is none yet: call backward first"
    if hasattr(value, "requires_grad") and hasattr(value, "data"):  # these attributes belong to a Tensor
        return f"a {type(value).__name__}; pass t.data, its values, or t.grad, its gradient"
    if isinstance(value, np.ma.MaskedArray):
        return "a masked array, whose mask would be lost; pass x.filled(value) or x.compressed()"
    if isinstance(value, np.matrix):
        return "a np.matrix, whose * is a matrix product; pass np.asarray(x)"
    return "" if isinstance(value, np.ndarray) else f"{type(value).__name__}; np.array(...) makes one"


def wrong_kind(dtype: np.dtype, kinds: str) -> str:
    """Returns the same text as `refusal` for an array of this dtype."""
    if dtype.kind in kinds:
        return ""
    return f"{NAMES.get(dtype.kind, 'values')} ({dtype}); {REMEDIES.get(dtype.kind, OTHERWISE)}"
