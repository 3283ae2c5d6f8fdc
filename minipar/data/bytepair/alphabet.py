"""Defines GPT-2's letters for bytes. GPT-2's files write tokens as text with these letters.

The 188 bytes that are printable characters of Latin-1 represent themselves. The other 68, such as the space
and the line end, are U+0100, U+0101, ... in order: a space is "\u0120", a line end is "\u010a".
"""

from __future__ import annotations

PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("\xa1"), ord("\xac") + 1), *range(ord("\xae"), 256)]
OTHERS = sorted(set(range(256)) - set(PRINTABLE))
LETTERS = {**{byte: chr(byte) for byte in PRINTABLE},
           **{byte: chr(256 + number) for number, byte in enumerate(OTHERS)}}
BYTES = {letter: byte for byte, letter in LETTERS.items()}


def to_letters(piece: bytes) -> str:
    """Convert a token's bytes to GPT-2's letters.

    >>> to_letters(b" the")
    '\u0120the'
    """
    return "".join(LETTERS[byte] for byte in piece)


def from_letters(text: str) -> bytes:
    """Convert GPT-2's letters to the bytes of a token. Raises KeyError for a character that is no such
    letter.

    >>> from_letters("\u0120the")
    b' the'
    """
    return bytes(BYTES[letter] for letter in text)
