"""A text stream of new tokens that ends before a stop text.

The stream holds back text that may still change: the beginning of a stop text, and the bytes of an incomplete
character. Example with the stop text "END": the token "an E" releases "an ". Then the token "ND" completes
"END", so it releases "" and the text has ended. The caller pushes no more tokens.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from minipar.data.tokenizer import Tokenizer


class TextStream:
    """A TextStream turns tokens into text. stream_text in minipar.data is a stream without stop texts."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()):
        self._tokenizer, self._stop = tokenizer, tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def push(self, token: int) -> tuple[str, bool]:
        """Return (the text that can be shown now, whether a stop text was found). The text ends before a stop
        text.
        """
        text = self._held + self._decoder.decode(self._tokenizer.decode_bytes([token]))
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            return text[: min(found)], True
        shown = len(text) - max((_beginning(text, stop) for stop in self._stop), default=0)
        self._held = text[shown:]
        return text[:shown], False

    def flush(self) -> str:
        """Return the text that was held back. Call this method after the last token."""
        text, self._held = self._held + self._decoder.decode(b"", final=True), ""
        return text


def _beginning(text: str, stop: str) -> int:
    """Return the number of characters at the end of the text that are the beginning of the stop text."""
    longest = min(len(stop) - 1, len(text))
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)
