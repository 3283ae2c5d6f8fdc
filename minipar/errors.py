"""The errors of minipar: one class for each type of mistake.

Every message names the given value, the expected value and the next step, in one line. The command line
prints that line to stderr and exits with status 2. Any other exception is a bug of minipar and keeps its
traceback.

A message may quote an option, or a name in a file. `brief` shortens long texts and escapes control characters
of terminals. It is called here for every message, and nowhere else.
"""

import re

LONGEST_WORD, LONGEST_MESSAGE = 200, 480                            # characters


class MiniparError(Exception):
    """A mistake that the user can correct. Each subclass is one type of mistake.

    longest: the largest number of characters of a message, None for no limit. The middle of longer words and
    messages is left out. facts: the content of the message, by name, for programs and tests:
    `ConfigError(text, item="heads")`.

    >>> from minipar.errors import ConfigError
    >>> error = ConfigError("5 heads do not divide a width of 12", item="heads")
    >>> error.facts
    {'item': 'heads'}
    """

    longest: int | None = LONGEST_MESSAGE

    def __init__(self, *args: object, **facts: object) -> None:
        super().__init__(*(brief(arg, self.longest) if isinstance(arg, str) else arg for arg in args))
        self.facts = facts


def brief(text: str, longest: int | None = LONGEST_MESSAGE) -> str:
    """The text in printable characters. The middle of long words, and of a text longer than `longest`, is
    left out.

    If `longest` is given, ends of lines are escaped too, so the message is one line.
    """
    keep = "" if longest else "\n"
    text = "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii")
                   for c in text)
    text = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: _without_middle(word[0], LONGEST_WORD // 2),
                  text)
    return text if longest is None or len(text) <= longest else _without_middle(text, longest - 60)


def shown(value: object) -> str:
    """A value as text for a message: its `repr`, or its type if `repr` fails, as for a number of 5,000
    digits.
    """
    try:
        return brief(repr(value), LONGEST_WORD)
    except Exception:                                               # an unknown __repr__ may raise anything
        return f"a value of type {type(value).__name__} that cannot be printed"


def _without_middle(text: str, kept: int) -> str:
    head, tail = kept - kept // 3, kept // 3
    return f"{text[:head]}...[{len(text) - kept:,} characters]...{text[-tail:]}"


class ConfigError(MiniparError):
    """An invalid size or option: heads that do not divide the width, an unknown preset."""


class ShapeError(MiniparError):
    """Arrays whose shapes or dtypes do not fit together."""


class RangeError(MiniparError):
    """Numbers that an operation cannot use: NaN or infinity to rank or to round, a sum that may exceed 32
    bits.
    """


class GraphError(MiniparError):
    """Backward of a value without a graph, or a second backward of the same graph."""


class DataError(MiniparError):
    """Text that is missing, empty, not text, or too short."""


class CheckpointError(MiniparError):
    """A checkpoint that is missing, damaged, of another program or model; a folder that is not writable."""


class DivergenceError(MiniparError):
    """The loss or a gradient became NaN or infinite."""


class LayoutError(MiniparError):
    """Axes whose product is not the number of ranks; a layer that cannot be sharded over so many ranks."""


class ScheduleError(MiniparError):
    """A pipeline schedule that uses a value before it exists, computes one twice or never, or deadlocks."""


class CommError(MiniparError):
    """Ranks that disagree about an operation or a shape, a peer that has ended, a deadlock."""

    longest = 40_000                                                # a wait graph names every rank
