"""A lesson as a Jupyter notebook."""

from __future__ import annotations

from pathlib import Path

from minipar.classroom.cells import LessonFile
from minipar.errors import ConfigError


def notebook(lesson: LessonFile) -> str:
    """The text of an .ipynb file with the lesson's cells, without outputs.

    Raises ConfigError if the package jupytext is not installed.
    """
    try:
        import jupytext
    except ImportError:
        raise ConfigError("notebooks need the package jupytext: pip install jupytext") from None
    book = jupytext.reads(Path(lesson.path).read_text(encoding="utf-8"), fmt="py:percent")
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return str(jupytext.writes(book, fmt="ipynb"))
