"""Writes a whole folder atomically: at every moment, the folder is complete or does not exist.

The files are written into a folder with a temporary name, beside the final folder. At the end, one rename
gives the folder its final name. If the process is killed before the rename, the temporary folder stays, and
the next write removes it. A temporary folder is locked while its writer lives, so the next write never
removes the folder of a running writer.
"""

from __future__ import annotations

import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minipar.checkpoint.atomic import refusals_named, sync_folder
from minipar.checkpoint.claim import claimed
from minipar.errors import CheckpointError


@contextmanager
def creating(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder that becomes `folder` at the end of the block. After an error it is removed.

    Raises CheckpointError if `folder` exists and is not empty, or if the operating system refuses.
    """
    folder = Path(os.path.abspath(folder))
    _require_free(folder)
    temporary = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.tmp")
    missing = [parent for parent in folder.parents if not parent.exists()]
    with refusals_named(folder):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(folder)
            temporary.mkdir()
            with claimed(temporary):
                yield temporary
                _require_free(folder)
                os.replace(temporary, folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)            # it does not exist after the rename
            for parent in missing:                                  # after an error, new parents are empty
                with suppress(OSError):
                    parent.rmdir()


def _require_free(folder: Path) -> None:
    with refusals_named(folder):
        if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
            raise CheckpointError(f"{folder} exists already; choose another --out")


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders of killed processes. Folders of running processes are locked."""
    for leftover in folder.parent.glob(f"{glob.escape(folder.name)}.{'[0-9a-f]' * 8}.tmp"):
        if leftover.is_dir() and not leftover.is_symlink():
            try:
                with claimed(leftover):
                    shutil.rmtree(leftover, ignore_errors=True)
            except CheckpointError:                                 # its writer still runs
                pass
