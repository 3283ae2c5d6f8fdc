"""Wraps lines for a terminal of 80 columns."""

from __future__ import annotations

import textwrap

WIDTH = 80


def hanging(head: str, text: str) -> str:
    """Return `head` and the text behind it, wrapped at words. All lines after the first are indented below
    the beginning of the text.
    """
    return textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head),
                         break_long_words=False, break_on_hyphens=False)
