"""Defines the byte-pair tokenizer. It can encode every text, because each of the 256 bytes is a token."""

# N: number of tokens

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minipar.data.bytepair.alphabet import from_letters, to_letters
from minipar.data.bytepair.learn import BYTES, learn_merges
from minipar.data.bytepair.merge import Pair, merge_word
from minipar.data.bytepair.words import split_words
from minipar.data.vocabulary import require_tokens, unknown_character
from minipar.errors import DataError, shown

MOST_TOKENS = 1 << 20
LONGEST_MERGES = 1 << 28  # bytes of all merged tokens together; those of GPT-2 have less than 2**20
_CACHED, _LONGEST_CACHED = 1 << 16, 64                              # cached words; characters of such a word


class BytePairTokenizer:
    """A tokenizer whose tokens are byte strings. A text is split into words, and the merges give the tokens
    of a word.

    Attributes: vocabulary (token -> its bytes), merges (pairs of tokens, in the order of learning), specials
    (texts such as "<|endoftext|>" -> their tokens), vocab_size. `encode` never produces special tokens. So an
    input that contains "<|endoftext|>" cannot end a document. For a special token, use `specials[...]`.
    """

    def __init__(self, vocabulary: Sequence[bytes], merges: Sequence[Pair],
                 specials: Mapping[str, int] | None = None) -> None:
        """Raises DataError if a byte has no token, if the result of a merge is no token, or if the merges
        have more bytes than LONGEST_MERGES.
        """
        self.vocabulary, self.merges = list(vocabulary), [tuple(pair) for pair in merges]
        self.specials = dict(specials or {})
        self.vocab_size = len(self.vocabulary)
        special = set(self.specials.values())
        number = {piece: token for token, piece in enumerate(self.vocabulary) if token not in special}
        if len(number) + len(special) != self.vocab_size:
            raise DataError("two tokens of the vocabulary are the same text; give a complete file")
        if lacking := [byte for byte in range(BYTES) if bytes([byte]) not in number]:
            raise DataError(f"the vocabulary has no token for byte {lacking[0]} ({len(lacking)} bytes lack "
                            "one); this reader needs a byte-level vocabulary")
        self._bytes = [number[bytes([byte])] for byte in range(BYTES)]  # byte -> token
        self._merges: dict[Pair, Pair] = {}
        size = 0
        for index, (one, two) in enumerate(self.merges):
            if not (0 <= one < self.vocab_size and 0 <= two < self.vocab_size):
                raise DataError(f"merge {index} joins the tokens {one} and {two}; the vocabulary has "
                                f"{self.vocab_size:,}")
            piece = self.vocabulary[one] + self.vocabulary[two]
            size += len(piece)
            if size > LONGEST_MERGES:
                raise DataError(f"the first {index + 1:,} merges make {size:,} bytes of tokens, more than "
                                f"{LONGEST_MERGES:,}; this is no tokenizer of a text")
            joined = number.get(piece)
            if joined is None:
                raise DataError(f"merge {index} makes {shown(piece)}, which is no token; give the vocabulary "
                                "and the merges of one tokenizer")
            self._merges.setdefault((one, two), (index, joined))
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def learn(cls, text: str, size: int) -> BytePairTokenizer:
        """Learn a vocabulary of `size` tokens: the 256 bytes, and the first size - 256 merges of the text.

        Raises DataError if size is below 256, or if the text is too short for so many merges.

        >>> small = BytePairTokenizer.learn("the cat, the hat, the mat", 259)
        >>> small.vocabulary[256:], len(small.encode("the bat"))
        ([b'at', b'he', b'the'], 4)
        """
        if not BYTES <= size <= MOST_TOKENS:
            raise DataError(f"a byte-pair vocabulary of {size:,} tokens: choose {BYTES} (one per byte) to "
                            f"{MOST_TOKENS:,}")
        merges = learn_merges(text, size - BYTES)
        vocabulary = [bytes([byte]) for byte in range(BYTES)]
        for one, two in merges:
            vocabulary.append(vocabulary[one] + vocabulary[two])
        return cls(vocabulary, merges)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return the tokens [N] of any text. Raises DataError for half of a surrogate pair, which UTF-8
        cannot hold.
        """
        tokens: list[int] = []
        for word in split_words(text):
            tokens += self._tokens_of(word)
        return np.array(tokens, np.int32)

    def _tokens_of(self, word: str) -> list[int]:
        """Return the tokens of a word. Long words are rare, so they are not cached: they would only fill
        memory.
        """
        if len(word) > _LONGEST_CACHED:
            return self._merged(word)
        if word not in self._cache:
            if len(self._cache) == _CACHED:
                self._cache.clear()
            self._cache[word] = self._merged(word)
        return self._cache[word]

    def _merged(self, word: str) -> list[int]:
        try:
            return merge_word([self._bytes[byte] for byte in word.encode("utf-8")], self._merges)
        except UnicodeEncodeError as error:
            raise unknown_character(word, error.start, "it is not UTF-8") from error

    def decode(self, tokens: ArrayLike) -> str:
        """Return the text of tokens [N]. Bytes that are not UTF-8 become the replacement character."""
        return self.decode_bytes(tokens).decode("utf-8", errors="replace")

    def decode_bytes(self, tokens: ArrayLike) -> bytes:
        """Return the bytes of tokens [N], any integer dtype. Raises DataError for a token outside the
        vocabulary.
        """
        return b"".join(self.vocabulary[token] for token in require_tokens(tokens, self.vocab_size).tolist())

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "bpe", "vocabulary": [to_letters(piece) for piece in self.vocabulary],
                "merges": [list(pair) for pair in self.merges], "specials": self.specials}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BytePairTokenizer:
        """Build the tokenizer from `to_dict`'s values. Raises DataError for invalid values."""
        try:
            pieces, merges, specials = values["vocabulary"], values["merges"], values["specials"]
            vocabulary = [from_letters(piece) for piece in pieces]
            pairs = [(one, two) for one, two in merges]
            whole = [*specials.values(), *(token for pair in pairs for token in pair)]
            if any(type(token) is not int for token in whole):
                raise TypeError("tokens are whole numbers")
            if any(not 0 <= token < len(vocabulary) for token in specials.values()):
                raise ValueError("a special token is outside the vocabulary")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"no tokenizer is described by {str(values)[:80]}") from error
        return cls(vocabulary, pairs, specials)
