"""The text of a growing list of tokens, and where a stop text ends it.

A part of the text is held back while it may still change: the beginning of a stop text, and bytes of a
character that is not complete. Example with the stop text "END": the tokens of "an E", "ND" and "!" release
"an ", "" and nothing more, since the text ends before "END".
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from minipar.data.tokenizer import Tokenizer


class TextStream:
    """Tokens in, text out; see stream_text in minipar.data for a stream without stop texts."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()):
        self._tokenizer, self._stop = tokenizer, tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def push(self, token: int) -> tuple[str, bool]:
        """(the text that can be shown now, whether a stop text was found; then this text ends before it)."""
        text = self._held + self._decoder.decode(self._tokenizer.decode_bytes([token]))
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            return text[: min(found)], True
        shown = len(text) - max((_beginning(text, stop) for stop in self._stop), default=0)
        self._held = text[shown:]
        return text[:shown], False

    def flush(self) -> str:
        """The text that was held back, when no token follows."""
        text, self._held = self._held + self._decoder.decode(b"", final=True), ""
        return text


def _beginning(text: str, stop: str) -> int:
    """The number of characters at the end of the text that are the beginning of the stop text."""
    longest = min(len(stop) - 1, len(text))
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)
