"""Reads a text file from an unknown source. The file must be a regular file of a bounded size, in UTF-8."""

from __future__ import annotations

import os

from minipar.errors import MiniparError
from minipar.untrusted.files import read_bytes


def read_text(path: str | os.PathLike[str], most: int, error: type[MiniparError]) -> str:
    """Returns the text of the file, with "\\n" at the ends of lines.

    Raises `error`, with a message of one line, if the file is missing, cannot be read, is not a regular file,
    has more than `most` bytes, or is not UTF-8.

    >>> from minipar.errors import ConfigError
    >>> try:
    ...     read_text("no-such-file", 100, ConfigError)
    ... except ConfigError as found:
    ...     print(found)
    no-such-file cannot be read: No such file or directory
    """
    try:
        data = read_bytes(path, most, error)
    except OSError as found:
        raise error(f"{os.fspath(path)} cannot be read: {found.strerror}", item=os.fspath(path),
                    kind="unreadable") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as found:
        raise error(f"{os.fspath(path)} is not text in UTF-8: byte {found.start + 1} is "
                    f"0x{data[found.start]:02x}; save it as UTF-8",
                    item=os.fspath(path), kind="not UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
