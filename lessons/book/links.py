"""Links of a page, for the book: those to its other pages stay, those to other files become plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from posixpath import normpath, relpath

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( {0,3})(```|~~~)")


def rewritten(text: str, page: str, pages: Mapping[str, str], picture: Callable[[str], bool]) -> str:
    """The text with the book's links.

    page: its path in the repository. pages: path in the repository -> path in the book. picture(path): copies a
    picture to the book; False if it is none.
    """
    def link(found: re.Match[str]) -> str:
        mark, words, target = found.groups()
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            return found[0]
        path, _, anchor = target.partition("#")
        absolute = normpath(str(PurePosixPath(page).parent / path))
        if mark:
            return found[0] if picture(absolute) else words
        if absolute not in pages:
            return words
        there = relpath(pages[absolute], str(PurePosixPath(pages[page]).parent))
        return f"[{words}]({there}{'#' * bool(anchor)}{anchor})"

    lines, fenced = text.split("\n"), False
    for number, line in enumerate(lines):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            lines[number] = LINK.sub(link, line)
    return "\n".join(lines)
