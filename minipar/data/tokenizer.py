"""Defines tokenizers with one token per byte or per character. minipar.data.bytepair has the tokenizer for
byte pairs.

All tokenizers convert a text to tokens and back without loss. Bytes can represent every text. Characters give
shorter sequences, with one embedding per different character of the training text. Byte pairs give the
shortest sequences and can represent every text, but the pairs must be learned.
"""

# N: number of tokens

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minipar.config import TOKENIZERS
from minipar.data.bytepair.tokenizer import BytePairTokenizer
from minipar.data.vocabulary import require_tokens, unknown_character
from minipar.errors import DataError, shown


class Tokenizer(Protocol):
    """The interface of a tokenizer."""

    @property
    def vocab_size(self) -> int: ...

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return tokens [N], each in 0 .. vocab_size - 1.

        Raises DataError, which names the character that has no token.
        """

    def decode(self, tokens: ArrayLike) -> str:
        """Return the text of tokens [N], any integer dtype. Raises DataError for a token outside the
        vocabulary.
        """

    def decode_bytes(self, tokens: ArrayLike) -> bytes:
        """Return the text of tokens [N] as UTF-8. A token may hold a part of a character. Raises the errors
        of `decode`.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint's metadata. `tokenizer_from_dict` reads these values."""


class ByteTokenizer:
    """A tokenizer with one token per byte of UTF-8.

    A model may generate bytes that are not valid UTF-8; `decode` replaces them by the replacement character.
    """

    vocab_size = 256

    def encode(self, text: str) -> NDArray[np.int32]:
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:  # half of a surrogate pair, as from a prompt in another encoding
            raise unknown_character(text, error.start, "it is not UTF-8") from error
        return np.frombuffer(data, np.uint8).astype(np.int32)

    def decode(self, tokens: ArrayLike) -> str:
        return self.decode_bytes(tokens).decode("utf-8", errors="replace")

    def decode_bytes(self, tokens: ArrayLike) -> bytes:
        return require_tokens(tokens, self.vocab_size).astype(np.uint8).tobytes()

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "byte"}


class CharTokenizer:
    """A tokenizer with one token per character of the training text, in the order of code points (as in
    nanoGPT).
    """

    def __init__(self, characters: str) -> None:
        """`characters` holds each character once, in the order of the tokens."""
        if not characters or len(set(characters)) != len(characters):
            raise DataError("a character tokenizer needs each character exactly once; got "
                            f"{characters[:40]!r}")
        self.characters = characters
        self.vocab_size = len(characters)
        self._points = _code_points(characters)  # token -> code point
        self._tokens = np.full(self._points.max() + 1, -1, np.int32)  # code point -> token, or -1
        self._tokens[self._points] = np.arange(self.vocab_size)

    @classmethod
    def from_text(cls, text: str) -> "CharTokenizer":
        return cls("".join(sorted(set(text))))

    def encode(self, text: str) -> NDArray[np.int32]:
        points = _code_points(text)
        known = points < len(self._tokens)
        tokens = np.where(known, self._tokens[np.where(known, points, 0)], np.int32(-1))
        if (unknown := np.flatnonzero(tokens < 0)).size:
            raise unknown_character(text, int(unknown[0]),
                                    f"it is not among the {self.vocab_size} of the training text")
        return tokens

    def decode(self, tokens: ArrayLike) -> str:
        points: bytes = self._points[require_tokens(tokens, self.vocab_size)].tobytes()
        return points.decode("utf-32-le", "surrogatepass")

    def decode_bytes(self, tokens: ArrayLike) -> bytes:
        return self.decode(tokens).encode("utf-8", "surrogatepass")

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "char", "characters": self.characters}


def make_tokenizer(choice: str, text: str) -> Tokenizer:
    """Make a tokenizer for this training text. `choice` is "byte", "char", or "bpe:1024" (byte pairs, learned
    from the text, with a vocabulary of 1,024 tokens).

    Raises DataError for another choice, or for a text that has no tokens.

    >>> import minipar as mp
    >>> letters = mp.make_tokenizer("char", "banana")
    >>> letters.encode("nab").tolist(), letters.decode([1, 0, 2])
    ([2, 0, 1], 'ban')
    """
    if not TOKENIZERS.fullmatch(choice):
        raise DataError(f"there is no tokenizer {shown(choice)}; choose char, byte, or bpe:1024 (byte pairs)",
                        item="tokenizer")
    kind, _, size = choice.partition(":")
    if kind == "bpe":
        return BytePairTokenizer.learn(text, int(size))
    return ByteTokenizer() if kind == "byte" else CharTokenizer.from_text(text)


def tokenizer_from_dict(values: dict[str, Any]) -> Tokenizer:
    """Build the tokenizer from the values of `to_dict`. Raises DataError for invalid values."""
    match values:
        case {"kind": "byte"}:
            return ByteTokenizer()
        case {"kind": "char", "characters": str(characters)}:
            return CharTokenizer(characters)
        case {"kind": "bpe"}:
            return BytePairTokenizer.from_dict(values)
    raise DataError(f"no tokenizer is described by {str(values)[:80]}")


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")

