"""Formats the prose and the code of a lesson for a terminal of 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

WIDTH = 78
GUTTER = "| "                           # printed before each line of code


def prose(markdown: str) -> str:
    """Format Markdown as plain text. Paragraphs and lists are wrapped at 78 columns. Code and tables are not
    changed.
    """
    return "\n".join(_blocks(markdown.splitlines()))


def code(source: str) -> str:
    return "\n".join(f"{GUTTER}{line}".rstrip() for line in source.splitlines())


def heading(title: str) -> str:
    return f"{title}\n{'=' * min(len(title), WIDTH)}"


def _blocks(lines: list[str]) -> Iterator[str]:
    paragraph: list[str] = []
    for line in [*lines, ""]:
        starts_item = bool(re.match(r" {0,3}([*-]|\d+\.) ", line))
        in_item = bool(paragraph) and _is_item(paragraph)
        is_single = not line.strip() or line.startswith(("    ", "|", "#")) and not in_item
        if (is_single or starts_item) and paragraph:
            yield _wrapped(paragraph)
            paragraph = []
        if not is_single:
            paragraph.append(line)
        elif line.startswith("#"):
            yield heading(_plain(line.lstrip("# ")))
        else:
            yield line.rstrip()


def _is_item(paragraph: list[str]) -> bool:
    return bool(re.match(r" {0,3}([*-]|\d+\.) ", paragraph[0]))


def _wrapped(paragraph: list[str]) -> str:
    mark = re.match(r" {0,3}([*-]|\d+\.) ", paragraph[0])
    indent = " " * (len(mark[0]) if mark else 0)
    words = _plain(" ".join(line.strip() for line in paragraph))
    return textwrap.fill(words, WIDTH, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)


def _plain(text: str) -> str:
    """Return the text without the asterisks of bold words. A link is replaced by its words."""
    text = re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\*\*(.+?)\*\*", r"\1", text)
