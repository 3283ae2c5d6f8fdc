"""Formats the help of a command."""

from __future__ import annotations

import argparse
import re
import textwrap

EXAMPLE = "    "  # an indented block of a description is not wrapped


class HelpFormatter(argparse.HelpFormatter):
    """Wraps the paragraphs of a description, and keeps its indented blocks, such as examples. A line never
    breaks at a hyphen, so options and names of schedules stay whole.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = re.split(r"\n\s*\n", text.strip("\n"))
        inside = width - len(indent)
        filled = [block if block.startswith(EXAMPLE) else "\n".join(self._split_lines(block, inside))
                  for block in blocks]
        return textwrap.indent("\n\n".join(filled), indent)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)
