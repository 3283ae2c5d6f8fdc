"""Defines checks and errors that all tokenizers share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minipar.errors import DataError


def require_tokens(tokens: ArrayLike, vocab_size: int) -> NDArray[np.integer]:
    """Return the tokens as int64. Raises DataError for a token outside 0 .. vocab_size - 1."""
    array = np.asarray(tokens, dtype=np.int64)
    if (wrong := array[(array < 0) | (array >= vocab_size)]).size:
        raise DataError(f"token {wrong[0]} is outside the vocabulary of {vocab_size}")
    return array


def unknown_character(text: str, position: int, reason: str) -> DataError:
    """Return the error for a character of the text that has no token."""
    character = text[position]
    return DataError(f"the tokenizer does not know the character {character!r} "
                     f"(U+{ord(character):04X}, at position {position}): {reason}")
