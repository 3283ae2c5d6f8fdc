"""Draws pictures of a finished run. If this fails, a warning is shown, and the command continues."""

from __future__ import annotations

from collections.abc import Callable

from minipar.console import tell


def attempt(name: str, draw: Callable[[], None]) -> None:
    """Call draw(), which makes the picture `name`; if it fails, write one line to stderr."""
    try:
        draw()
    except Exception as error:  # errors of matplotlib, fonts, settings, disk
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        tell(f"minipar: no picture {name}: {reason}; everything else is complete")
