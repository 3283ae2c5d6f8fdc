"""Turns new tokens into text that ends before a stop text.

Some text cannot be shown yet: a possible beginning of a stop text, and the bytes of an incomplete character.
Example with the stop text "END": after the token "an E", the text "an " can be shown. The next token is "ND".
It completes "END", so the text has ended, and nothing more is shown.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from minipar.data.tokenizer import Tokenizer


class TextStream:
    """Turns tokens into text, one by one. (stream_text in minipar.data does this without stop texts.)"""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()):
        self._tokenizer, self._stop = tokenizer, tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def push(self, token: int) -> tuple[str, bool]:
        """Add a token. Return the text that can be shown now, and True if a stop text was found. After True,
        push no more tokens.
        """
        text = self._held + self._decoder.decode(self._tokenizer.decode_bytes([token]))
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            return text[: min(found)], True
        shown = len(text) - max((_beginning(text, stop) for stop in self._stop), default=0)
        self._held = text[shown:]
        return text[:shown], False

    def flush(self) -> str:
        """Return the rest of the text, which was not shown yet. Call this method after the last token."""
        text, self._held = self._held + self._decoder.decode(b"", final=True), ""
        return text


def _beginning(text: str, stop: str) -> int:
    """Return the length of the longest end of the text that is a beginning of the stop text. Example: "an E"
    and "END" give 1.
    """
    longest = min(len(stop) - 1, len(text))
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)
