"""Load training text from a file, a folder, or the documentation that comes with Python.

Invalid text raises an error here, before a long training starts. Each problem raises a DataError that names
the file.
"""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

from minipar.errors import DataError
from minipar.untrusted.files import GIB, MIB, opened, read_bytes

LARGEST = 256 * MIB                             # bytes of text; tokens take four times as many
MOST_FILES, MOST_IN_FOLDER = 100_000, 4 * GIB   # limits of a folder, including pictures and archives
_HEAD = 8192                                    # git's rule: a NUL among the first bytes makes a file binary


def load_text(path: str | os.PathLike[str] | None = None) -> str:
    """Return the text of a UTF-8 file, or of all text files in a folder, joined in sorted order. The default
    is Python's documentation.

    Characters and line ends are not changed; only a byte-order mark at the start of a file is removed.
    Raises DataError if the text is missing, unreadable, binary, not UTF-8, or empty.
    """
    if path is None:
        return python_documentation()
    source = Path(path)
    try:
        text = (_folder_text(source) if source.is_dir()
                else _decode(source, read_bytes(source, LARGEST, DataError)))
    except FileNotFoundError:
        raise DataError(f"{source} does not exist; give a UTF-8 text file or a folder of them",
                        item=str(source)) from None
    except OSError as error:
        raise DataError(f"cannot read {error.filename or source}: {error.strerror}", kind="unreadable",
                        item=str(error.filename or source)) from error
    if not text.strip():
        raise DataError(f"{source} is empty; give a file with text to learn from", item=str(source))
    return text


def python_documentation() -> str:
    """Return the language reference that `help("if")` shows: about 460 kB of English, equal in every copy of
    one Python version.
    """
    try:
        topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    except ImportError as error:  # some systems have this module in another package
        raise DataError(
            "this Python comes without its documentation (pydoc_data); give a text file or folder"
        ) from error
    return "\n".join(topics[name] for name in sorted(topics))


def _folder_text(folder: Path) -> str:
    """Return the text of all text files below the folder. Hidden and binary files (pictures, archives) are
    skipped.

    The number and the sizes of the files are checked before any file is read, because the folder may be the
    whole disk.
    """
    paths, size = [], 0
    for path in _files(folder):
        paths.append(path)
        size += path.stat().st_size
        if len(paths) > MOST_FILES or size > MOST_IN_FOLDER:
            raise DataError(f"{folder} holds more than {MOST_FILES:,} files, or {MOST_IN_FOLDER:,} bytes; "
                            f"give a folder with only text", item=str(folder), kind="too large")
    texts, size = [], 0
    for path in paths:
        with opened(path, MOST_IN_FOLDER, DataError) as file:
            head = file.read(_HEAD) if os.fstat(file.fileno()).st_size else b""
        if b"\0" not in head:
            texts.append(_decode(path, read_bytes(path, LARGEST - size, DataError)))
            size += len(texts[-1])
    if not texts:
        raise DataError(f"{folder} holds no text files; give a folder with UTF-8 text")
    return "\n".join(texts)


def _files(folder: Path) -> Iterator[Path]:
    """Yields the files in the order of their names, then the files of each subfolder."""
    for inner, folders, files in os.walk(folder, onerror=_refuse):
        # os.walk visits only the folders in this list
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(inner, name) for name in sorted(files) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _refuse(error: OSError) -> None:
    raise error                                 # os.walk would skip a folder without permission


def _decode(path: Path, data: bytes) -> str:
    if (nul := data.find(b"\0")) >= 0:
        raise DataError(f"{path} is binary, not text: byte {nul} is NUL; give UTF-8 text")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x} "
                        f"({error.reason}); "
                        f"convert it to UTF-8 first") from error
