"""One checkpoint: named arrays and a dictionary of plain values in one `.npz` file, which is proven whole before it is used.

The file is what `numpy.savez` writes, a zip archive of `.npy` members, so that plain NumPy opens it; and one member more:

    wte.weight.npy     each array whole, under its stable name, however many ranks share it while training
    ...
    checkpoint.json    {"format": ..., "arrays": {name: {"shape", "dtype", "blake2b"}}, "meta": {...}}

Each array's checksum stands in checkpoint.json, and the checksum of checkpoint.json is the archive's comment. Nothing is
interpreted before its checksum is right, and nothing is ever unpickled: a damaged or planted file is an error, never code.
The same contents give the same bytes, so that two equal runs leave equal files.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from minipar.checkpoint.atomic import replacing
from minipar.errors import CheckpointError

_FORMAT = "minipar checkpoint 1"                # the number changes whenever an older minipar could misread a newer file
_HEADER = "checkpoint.json"                     # no array can take this name: those end in .npy


def save(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint: all of it, or nothing (see `atomic`).

    arrays: any shapes and dtypes but object; names may hold `/` and `.`
    meta:   what JSON can hold; floats and integers come back exactly, tuples as lists, keys as strings
    Raises CheckpointError if an array cannot be written without pickle, or if the system refuses to write.
    """
    if objects := [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]:
        raise CheckpointError(f"cannot save {objects[0]!r}: it holds Python objects; save numbers")
    header = {"format": _FORMAT, "arrays": {}, "meta": dict(meta)}
    json.dumps(header)                          # what JSON cannot hold must fail here, before a gigabyte is written
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        header["arrays"] = {name: _write_array(archive, name, np.asarray(array)) for name, array in arrays.items()}
        text = json.dumps(header, indent=1).encode()
        archive.writestr(zipfile.ZipInfo(_HEADER), text)
        archive.comment = _checksum(text).encode()


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the metadata of a checkpoint.

    Raises CheckpointError if it is missing, unreadable, truncated, damaged, foreign, or in another version of the format.
    """
    with _opened(path) as archive:
        header = _read_header(archive)
        arrays = {name: _read_array(archive, name, entry) for name, entry in header["arrays"].items()}
    return arrays, header["meta"]


def load_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata alone, without reading the arrays. Raises as `load` does."""
    with _opened(path) as archive:
        return _read_header(archive)["meta"]


class _Checked:
    """A file to write into that computes the checksum of what passes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.hash = hashlib.blake2b(digest_size=16)

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)


def _checksum(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> dict[str, Any]:
    """Write one member, return its entry in the header. ZipInfo's fixed date keeps equal contents equal in bytes."""
    with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as member:
        checked = _Checked(member)
        np.save(checked, array, allow_pickle=False)
    return {"shape": list(array.shape), "dtype": array.dtype.str, "blake2b": checked.hash.hexdigest()}


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    path = Path(path)
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder, not a checkpoint; give one of the .npz files in it")
        with open(path, "rb") as file:
            try:
                archive = zipfile.ZipFile(file)
            except Exception as error:          # on damaged bytes zipfile raises what it happens to stumble over
                raise CheckpointError(f"{path} is no checkpoint, or a truncated one: it does not open as .npz; "
                                      f"use another one") from error
            with archive:
                yield archive
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


def _read_header(archive: zipfile.ZipFile) -> dict[str, Any]:
    if _HEADER not in archive.namelist():
        raise CheckpointError(f"{archive.filename} is no minipar checkpoint: it holds no {_HEADER}; "
                              f"give one that minipar wrote")
    header = json.loads(_verified(archive, _HEADER, archive.comment.decode("ascii", "replace")))
    if header["format"] != _FORMAT:
        raise CheckpointError(f"{archive.filename} has the format {header['format']!r}, this minipar reads {_FORMAT!r}; "
                              f"use the version of minipar that wrote it")
    return header


def _read_array(archive: zipfile.ZipFile, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    data = _verified(archive, name + ".npy", entry["blake2b"])
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:                 # objects: we never saved that
        raise _damaged(archive, name + ".npy") from error


def _verified(archive: zipfile.ZipFile, member: str, checksum: str) -> bytes:
    """The bytes of a member, if they have this checksum."""
    try:
        data = archive.read(member)
    except Exception as error:                  # as above: BadZipFile, KeyError, zlib.error, RuntimeError, MemoryError, ...
        raise _damaged(archive, member) from error
    if _checksum(data) != checksum:
        raise _damaged(archive, member)
    return data


def _damaged(archive: zipfile.ZipFile, member: str) -> CheckpointError:
    return CheckpointError(f"{archive.filename} is damaged: {member} is not what was saved; use an older checkpoint")
