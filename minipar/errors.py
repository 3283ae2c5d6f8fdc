"""The errors of minipar. Each type of mistake has its own class.

Every message is one line that names the given value, the expected value and the next step. The command line
prints this line to stderr and exits with status 2. Any other exception is a bug of minipar and keeps its
traceback.

A message may quote an option or a name in a file. Such a text may be long or contain control characters of
terminals. So MiniparError calls `brief` for every message. `brief` shortens long texts and escapes control
characters.
"""

import re

LONGEST_WORD, LONGEST_MESSAGE = 200, 480                            # lengths in characters


class MiniparError(Exception):
    """A mistake that the user can correct. Each subclass is one type of mistake.

    longest: the largest number of characters of a message; None for no limit. A longer message, or a very
    long word in it, loses its middle. facts: the content of the message by name, for programs and tests. For
    `ConfigError(text, item="heads")` it is {"item": "heads"}. These names have one meaning in all errors:

        item                the option, argument, parameter or file that is wrong
        kind                the kind of the mistake, such as "deadlock", "timeout" or "too large"
        operation, label    the call of a communicator and its label; the label is None if there is none
        rank, step          the rank in its group; the training step
        seconds             a time limit

    >>> import minipar as mp
    >>> try:
    ...     mp.ModelConfig(width=12, heads=5)
    ... except mp.MiniparError as error:
    ...     print(type(error).__name__, error.facts)
    ConfigError {'item': 'heads'}
    """

    longest: int | None = LONGEST_MESSAGE

    def __init__(self, *args: object, **facts: object) -> None:
        super().__init__(*(brief(arg, self.longest) if isinstance(arg, str) else arg for arg in args))
        self.facts = facts


def brief(text: str, longest: int | None = LONGEST_MESSAGE) -> str:
    """Returns the text in printable characters. A word of more than LONGEST_WORD characters, and a text
    longer than `longest`, lose their middle.

    If `longest` is not None, ends of lines are also escaped, so the message is one line.
    """
    keep = "" if longest else "\n"
    # a set, because a loop over all characters takes seconds if the text is a whole file
    text = text.translate({ord(c): c.encode("unicode_escape").decode("ascii") for c in set(text)
                           if not c.isprintable() and c not in keep})
    text = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: _without_middle(word[0], LONGEST_WORD // 2),
                  text)
    return text if longest is None or len(text) <= longest else _without_middle(text, longest - 60)


def shown(value: object) -> str:
    """Returns a value as text for a message. The text is the `repr` of the value. If `repr` fails, as it does
    for a number of 5,000 digits, the text names the type.
    """
    try:
        return brief(repr(value), LONGEST_WORD)
    except Exception:  # an unknown __repr__ may raise any exception
        return f"a value of type {type(value).__name__} that cannot be printed"


def _without_middle(text: str, kept: int) -> str:
    head, tail = kept - kept // 3, kept // 3
    return f"{text[:head]}...[{len(text) - kept:,} characters]...{text[-tail:]}"


class ConfigError(MiniparError):
    """An invalid size or option, for example heads that do not divide the width, or an unknown preset."""


class ShapeError(MiniparError):
    """Arrays whose shapes or dtypes do not fit together."""


class RangeError(MiniparError):
    """Numbers that an operation cannot use. Examples are NaN or infinity in numbers to sort or to round, and
    a sum that may exceed 32 bits.
    """


class GraphError(MiniparError):
    """A backward pass from a value without a graph, or a second backward pass through the same graph."""


class DataError(MiniparError):
    """A text file that is missing, empty, too short, or not text."""


class CheckpointError(MiniparError):
    """A checkpoint that is missing, damaged, or from another program or model, or a folder that is not
    writable.
    """


class DivergenceError(MiniparError):
    """A loss or a gradient that has become NaN or infinite."""


class LayoutError(MiniparError):
    """An invalid layout. Examples are axes whose product is not the number of ranks, and a layer that cannot
    be sharded over that many ranks.
    """


class ScheduleError(MiniparError):
    """A pipeline schedule that uses a value before the value exists, computes a value twice or never, or
    deadlocks.
    """


class CommError(MiniparError):
    """An error in communication. Examples are ranks that do not agree on an operation or a shape, a rank that
    has ended, and a deadlock.
    """

    longest = 40_000  # a message with a wait graph names every rank
