"""Reads the lines that a reader types. Standard input can also be closed, unreadable, or endless."""

from __future__ import annotations

import sys

from minipar.errors import ConfigError

LONGEST = 1_000                                                     # characters of one line


def require_standard_input() -> None:
    """Raise ConfigError if standard input is closed."""
    if sys.stdin is None:
        raise ConfigError("standard input is closed; start this command in a terminal")


def typed(question: str) -> str:
    """Show the question and return the line that the reader types.

    Raises EOFError at the end of the input. Raises ConfigError if standard input is closed, cannot be read,
    is not UTF-8 text, or holds a line of over 1,000 characters.
    """
    require_standard_input()
    try:
        if sys.stdin.isatty():
            return input(question)
        print(question, end="", flush=True)
        line = sys.stdin.readline(LONGEST + 1)
    except UnicodeDecodeError:
        raise ConfigError("standard input is not UTF-8 text; type your answer in a terminal") from None
    except OSError as error:
        raise ConfigError(f"standard input cannot be read ({error.strerror or error}); start this command in "
                          "a terminal") from None
    if len(line) > LONGEST:
        raise ConfigError(f"standard input: a line has more than {LONGEST:,} characters; type your answer in "
                          "a terminal")
    if not line:
        raise EOFError
    return line.removesuffix("\n")
