"""A checkpoint is one `.npz` file with named arrays, a dictionary of plain values, and checksums.

The file is a zip archive of `.npy` members, as `numpy.savez` writes it, so plain NumPy opens it. It has one
more member, checkpoint.json:

    wte.weight.npy     a whole array under its name, independent of the number of ranks that shard it
    ...
    checkpoint.json    {"format": ..., "arrays": {name: {"shape", "dtype", "blake2b"}}, "meta": {...}}

checkpoint.json contains the checksum of each array, and the archive's comment is the checksum of
checkpoint.json. A member is parsed only after its checksum has been verified, and nothing is unpickled. So a
damaged file raises an error, and a malicious file cannot run code. A checksum shows that the file is
unchanged, but not who wrote it. So shapes, dtypes and sizes are checked, too. Equal contents give equal
bytes, so two equal runs write equal files.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from minipar.checkpoint.atomic import replacing
from minipar.errors import CheckpointError, shown
from minipar.untrusted.arrays import Declared, read_array
from minipar.untrusted.files import GIB, MIB, opened
from minipar.untrusted.members import Members
from minipar.untrusted.plain import parse_json

LARGEST_FILE, LARGEST_HEADER = 64 * GIB, 16 * MIB                   # bytes
Fits = Callable[[dict[str, Any], dict[str, Declared]], None]
_FORMAT = "minipar checkpoint 1"  # change the number if an older minipar could misread the file
_HEADER = "checkpoint.json"                     # no array has this name, because names of arrays end in .npy


def save(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint completely or not at all (see atomic.py).

    `arrays` may have any shape and any dtype except object; names may contain `/` and `.`. `meta` holds
    values for JSON. `load` returns floats and integers exactly, tuples as lists, and keys as strings. Raises
    CheckpointError if an array needs pickle, or if the operating system refuses to write.
    """
    if objects := [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]:
        raise CheckpointError(f"cannot save {objects[0]!r}: it holds Python objects; save numbers")
    header = {"format": _FORMAT, "arrays": {}, "meta": dict(meta)}
    json.dumps(header)  # invalid values raise before a gigabyte is written
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        header["arrays"] = {name: _write_array(archive, name, np.asarray(array))
                            for name, array in arrays.items()}
        text = json.dumps(header, indent=1).encode()
        archive.writestr(zipfile.ZipInfo(_HEADER), text)
        archive.comment = _checksum(text).encode()


def load(path: str | os.PathLike[str],
         fits: Fits | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the metadata of a checkpoint.

    `fits(meta, declared)` is called before any array is read, with the shape and dtype of each array. `fits`
    raises an error for arrays that the caller cannot use. Raises CheckpointError if the file is missing,
    unreadable, truncated, damaged, of another program, or of another version.
    """
    with _opened(path) as archive:
        header = _read_header(archive)
        entries = {name: _declared(archive, name, entry) for name, entry in header["arrays"].items()}
        if fits is not None:
            fits(header["meta"], entries)
        arrays = {name: _read_array(archive, name, entries[name], entry["blake2b"])
                  for name, entry in header["arrays"].items()}
    return arrays, header["meta"]


def load_meta(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the metadata without reading the arrays. Raises the errors of `load`."""
    with _opened(path) as archive:
        meta: dict[str, Any] = _read_header(archive)["meta"]
    return meta


class _Checked:
    """Wraps a file for writing, and computes the checksum of the written data."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.hash = hashlib.blake2b(digest_size=16)

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)


def _checksum(data: bytes | bytearray) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> dict[str, Any]:
    """Write one member and return its entry for the header.

    ZipInfo has a fixed date, so equal contents give equal bytes.
    """
    with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as member:
        checked = _Checked(member)
        np.save(checked, array, allow_pickle=False)
    return {"shape": list(array.shape), "dtype": array.dtype.str, "blake2b": checked.hash.hexdigest()}


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Members]:
    path = Path(path)
    try:
        with opened(path, LARGEST_FILE, CheckpointError) as file:
            try:
                members = Members(file, path, CheckpointError, compressed=False)
            except CheckpointError:
                raise
            except Exception as error:  # zipfile raises many types of errors for damaged bytes
                raise CheckpointError(f"{path} is not a checkpoint, or is truncated: it does not open as "
                                      ".npz; use another one") from error
            yield members
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error


def _read_header(archive: Members) -> dict[str, Any]:
    """Return the content of checkpoint.json, after checks of its checksum and its structure."""
    if _HEADER not in archive:
        raise CheckpointError(f"{archive.where} is not a minipar checkpoint: it has no {_HEADER}; "
                              f"give one that minipar wrote")
    if archive.size(_HEADER) > LARGEST_HEADER:
        raise CheckpointError(f"{archive.where} has a {_HEADER} of more than {LARGEST_HEADER:,} bytes; use "
                              "another checkpoint")
    header = parse_json(bytes(_verified(archive, _HEADER, archive.comment)), f"{archive.where}: {_HEADER}",
                        CheckpointError)
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        known = header.get("format") if isinstance(header, dict) else header
        raise CheckpointError(f"{archive.where} has the format {shown(known)}, this minipar reads "
                              f"{_FORMAT!r}; use the version of minipar that wrote it")
    if not isinstance(header.get("arrays"), dict) or not isinstance(header.get("meta"), dict):
        raise CheckpointError(f"{archive.where} is damaged: {_HEADER} has no arrays or no meta; use an older "
                              "checkpoint")
    return header


def _declared(archive: Members, name: str, entry: Any) -> Declared:
    """Return the shape and dtype of an array from checkpoint.json. The header of its .npy member must agree.
    """
    member = name + ".npy"
    try:
        header = archive.header(member)
        said = {"shape": list(header.declared.shape), "dtype": header.declared.dtype.str}
        if {
            **said,
            "blake2b": str(entry["blake2b"]),
        } == entry and header.offset + header.declared.nbytes == archive.size(member):
            return header.declared
    except CheckpointError:
        raise
    except Exception as error:  # BadZipFile, KeyError, TypeError, zlib.error, RuntimeError, ...
        raise _damaged(archive, member) from error
    raise _damaged(archive, member)


def _read_array(archive: Members, name: str, declared: Declared, checksum: str) -> np.ndarray:
    array = read_array(_verified(archive, name + ".npy", checksum), archive.where, CheckpointError)
    if (array.shape, array.dtype) != declared:  # the member changed after its header was read
        raise _damaged(archive, f"{name}.npy")
    return array


def _verified(archive: Members, member: str, checksum: str) -> bytearray:
    """Return the bytes of a member. Raises CheckpointError if their checksum differs."""
    try:
        data = archive.read(member)
    except Exception as error:                  # MemoryError, or one of zipfile's many types
        raise _damaged(archive, member) from error
    if _checksum(data) != checksum:
        raise _damaged(archive, member)
    return data


def _damaged(archive: Members, member: str) -> CheckpointError:
    return CheckpointError(f"{archive.where} is damaged: {member} differs from the saved data; use an older "
                           "checkpoint")
