"""Pictures of a run that is done: one that fails costs a warning, never the run."""

from __future__ import annotations

from collections.abc import Callable

from minipar.console import tell


def attempt(name: str, draw: Callable[[], None]) -> None:
    """Call draw(), which makes the picture `name`; where it fails, say so in one line on stderr."""
    try:
        draw()
    except Exception as error:  # of matplotlib, its fonts, its settings, the disk
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        tell(f"minipar: no picture {name}: {reason}; all else is done")
