"""The text of a growing list of tokens, and where a stop text ends it.

A part of the text is held back while it may still change: the beginning of a stop text, and bytes of a
character that is not complete. Example with the stop text "END": the tokens of "an E", "ND" and "!" release
"an ", "" and nothing more, since the text ends before "END".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"                                              # `decode` returns it for incomplete bytes


class TextStream:
    """Tokens in, text out. decode: of a tokenizer."""

    def __init__(self, decode: Callable[[list[int]], str], stop: Sequence[str] = ()):
        self._decode, self._stop = decode, tuple(stop)
        self._tokens: list[int] = []                                # those whose text is not all released
        self._released = 0                                          # characters of their text

    def push(self, token: int) -> tuple[str, bool]:
        """(the text that can be shown now, whether a stop text was found; then this text ends before it)."""
        self._tokens.append(token)
        text = self._decode(self._tokens)
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            return text[self._released : min(found)], True
        kept = self._held_back(text)
        new = text[self._released : len(text) - kept]
        self._released = len(text) - kept
        if not kept:
            self._tokens, self._released = [], 0
        return new, False

    def flush(self) -> str:
        """The text that was held back, when no token follows."""
        text = self._decode(self._tokens)[self._released :] if self._tokens else ""
        self._tokens, self._released = [], 0
        return text

    def _held_back(self, text: str) -> int:
        """The number of characters at the end that may still change."""
        incomplete = int(text.endswith(REPLACEMENT))
        text, longest = text[: len(text) - incomplete], 0
        for stop in self._stop:
            for length in range(min(len(stop) - 1, len(text) - self._released), longest, -1):
                if text.endswith(stop[:length]):
                    longest = length
                    break
        return longest + incomplete
