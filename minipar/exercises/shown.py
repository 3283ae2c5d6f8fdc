"""Makes texts of a submission safe to show in a terminal, a table, or a file."""

from __future__ import annotations

LONGEST = 400                                                       # characters of a text in one line


def shown(text: str, longest: int = LONGEST) -> str:
    """Return the text with an escape such as \\x1b in place of each unprintable character, and shortened to
    `longest` characters. Unprintable are control characters, characters that change the direction of writing,
    and halves of surrogate pairs. Spaces stay, and newlines become escapes.
    """
    if len(text) > longest:
        text = f"{text[:longest - 3]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
