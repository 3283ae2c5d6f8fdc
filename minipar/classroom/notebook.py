"""Converts a lesson to a Jupyter notebook."""

from __future__ import annotations

from minipar.classroom.cells import LessonFile
from minipar.errors import ConfigError
from minipar.untrusted.files import MIB
from minipar.untrusted.text import read_text


def notebook(lesson: LessonFile) -> str:
    """Return the text of an .ipynb file with the lesson's cells, without outputs.

    Raises ConfigError if the lesson cannot be read, or the package jupytext is not installed.
    """
    text = read_text(lesson.path, MIB, ConfigError)
    try:
        import jupytext
    except ImportError:
        raise ConfigError("notebooks need the package jupytext: pip install jupytext") from None
    book = jupytext.reads(text, fmt="py:percent")
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return str(jupytext.writes(book, fmt="ipynb"))
