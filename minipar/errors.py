"""What a user can do wrong, by name.

Every message says what was given, what was expected and what to do next, in one line. The command line prints
that line to stderr and exits with status 2; anything else that escapes is a bug of minipar and keeps its
traceback.

A message may quote what it was given: an option, a name in a file. `brief` shortens what is long and escapes
what a terminal would obey, here and nowhere else, so that no message needs to.
"""

import re

LONGEST_WORD, LONGEST_MESSAGE = 200, 480                            # characters


class MiniparError(Exception):
    """A mistake that the user can mend. Subclasses name its kind.

    longest: characters of a message, None for any number. Longer words and messages lose their middle.
    facts: what the message says, by name, for programs and tests, as in `ConfigError(text, item="heads")`.

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
    """The text in printable characters, without the middle of a long word, and of the whole where it is
    longer than `longest`.

    Where the length is limited, line ends are escaped too: such a message is one line.
    """
    keep = "" if longest else "\n"
    text = "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii")
                   for c in text)
    text = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: _without_middle(word[0], LONGEST_WORD // 2),
                  text)
    return text if longest is None or len(text) <= longest else _without_middle(text, longest - 60)


def shown(value: object) -> str:
    """A value as a message quotes it: `repr`, or what stands for it where `repr` fails, as for a number of
    5,000 digits.
    """
    try:
        return brief(repr(value), LONGEST_WORD)
    except Exception:                                               # a stranger's __repr__ may raise anything
        return f"a value of type {type(value).__name__} that cannot be printed"


def _without_middle(text: str, kept: int) -> str:
    head, tail = kept - kept // 3, kept // 3
    return f"{text[:head]}...[{len(text) - kept:,} characters]...{text[-tail:]}"


class ConfigError(MiniparError):
    """A size or an option that cannot be: heads that do not divide the width, an unknown preset."""


class ShapeError(MiniparError):
    """Arrays whose shapes or dtypes do not fit together."""


class RangeError(MiniparError):
    """Numbers that cannot be used so: NaN or infinity to be ranked or rounded to an integer, a sum that may
    outgrow 32 bits.
    """


class GraphError(MiniparError):
    """Backward on something that has no graph, or a second time on a graph that is used up."""


class DataError(MiniparError):
    """Text that is missing, empty, not text, or too short."""


class CheckpointError(MiniparError):
    """A checkpoint that is missing, damaged, foreign, or of another model; a folder that cannot be
    written.
    """


class DivergenceError(MiniparError):
    """The loss or a gradient became NaN or infinite."""


class LayoutError(MiniparError):
    """Ranks and axes that do not multiply, a layer that cannot be cut among so many ranks."""


class ScheduleError(MiniparError):
    """A pipeline schedule that uses a value before it is there, makes one twice, forgets one, or cannot go
    on.
    """


class CommError(MiniparError):
    """Ranks that do not agree: another operation, another shape, a partner that is gone, a deadlock."""

    longest = 40_000                                                # a wait graph names every rank
