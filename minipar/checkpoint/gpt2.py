"""Read and write files of GPT-2 weights in the formats `.safetensors` and `.npz` of other programs.

The names of the arrays are in minipar.nn.gpt2_names. Neither format runs code when it is opened. PyTorch's
own files (`.pt`, `.bin`) are pickles, which can run code. This module refuses such files. The shapes and
dtypes in the file are compared with the arrays of a GPT-2 before any array is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minipar.checkpoint.atomic import replacing
from minipar.checkpoint.fingerprint import fingerprint
from minipar.comm.collectives.gather_values import same_everywhere
from minipar.comm.protocol import Communicator
from minipar.config import ModelConfig
from minipar.errors import CheckpointError, MiniparError, ShapeError, shown
from minipar.nn.gpt2_names import from_gpt2, is_mask, to_gpt2
from minipar.untrusted.arrays import Declared, read_array
from minipar.untrusted.files import GIB, opened
from minipar.untrusted.members import Members
from minipar.untrusted.safetensors import SafetensorsFile

LARGEST_FILE, MOST_ARRAYS = 16 * GIB, 20_000
Choose = Callable[[dict[str, Declared]], set[str]]  # shapes and dtypes -> the names of the arrays to read


def load_gpt2(path: str | os.PathLike[str], heads: int | None = None,
              world: Communicator | None = None) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    """Return the sizes and the state of a GPT-2 in a `.safetensors` or `.npz` file. `from_gpt2` describes
    `heads`. All ranks of `world` make this call, and compare the data that they have read.

    Raises CheckpointError for a file that is missing, damaged, of another format, or not of a GPT-2. Raises
    CheckpointError also if the file was replaced during reading.
    """
    path = Path(path)
    config, state = _load(path, heads)
    if world is not None and not same_everywhere(world, fingerprint(state, asdict(config)), "weights"):
        raise CheckpointError(f"{path} was replaced while the ranks read it, or differs between hosts, so "
                              "they hold different weights; give all the same file")
    return config, state


def _load(path: Path, heads: int | None) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[_suffix(path)]
    try:
        with opened(path, LARGEST_FILE, CheckpointError) as file:
            arrays = read(file, path, lambda declared: _require_weights(declared, heads, path))
            return from_gpt2(_require_finite(arrays, path), heads)
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ShapeError as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_arrays(path: str | os.PathLike[str], kinds: str, most: int,
                fits: Callable[[dict[str, Declared]], None] = lambda declared: None) -> dict[str, np.ndarray]:
    """Return all arrays of a `.safetensors` or `.npz` file, by the names in the file.

    `kinds` holds the letters of the allowed dtypes (dtype.kind), such as "f". `most` is the largest total
    number of bytes. `fits` is called before any array is read, and raises an error for arrays that the caller
    cannot use. Raises CheckpointError for a file that is missing, damaged, too large, or of another format or
    dtype.
    """
    path = Path(path)

    def choose(declared: dict[str, Declared]) -> set[str]:
        if (size := sum(one.nbytes for one in declared.values())) > most:
            raise CheckpointError(f"{path} holds {size:,} bytes of arrays, more than {most:,}")
        for name, (_, dtype) in declared.items():
            if dtype.kind not in kinds:
                raise CheckpointError(f"{path}: {shown(name)} is of {dtype}; save other numbers")
        fits(declared)
        return set(declared)

    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[_suffix(path)]
    try:
        with opened(path, LARGEST_FILE, CheckpointError) as file:
            return read(file, path, choose)
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error


def _require_weights(declared: dict[str, Declared], heads: int | None, path: Path) -> set[str]:
    """Return the names of the arrays to read.

    Raises the errors of `from_gpt2`, and CheckpointError for weights that are not floats.
    """
    if len(declared) > MOST_ARRAYS:
        raise CheckpointError(f"{path} lists {len(declared):,} arrays, more than {MOST_ARRAYS:,}; this is "
                              "not a GPT-2")
    wanted = {name: one for name, one in declared.items() if not is_mask(name)}
    for name, (_, dtype) in wanted.items():  # first, since one element of a text may have gigabytes
        if dtype.kind != "f":
            raise CheckpointError(f"{path}: {shown(name)} is of {dtype}; weights are floats")
    from_gpt2({name: np.broadcast_to(np.zeros((), one.dtype), one.shape) for name, one in wanted.items()},
              heads)
    return set(wanted)


def _require_finite(arrays: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{path}: {shown(name)} holds NaN or infinity; get the file again")
    return arrays


def save_gpt2(path: str | os.PathLike[str], config: ModelConfig, state: Mapping[str, np.ndarray],
              dialect: str = "huggingface") -> None:
    """Write a state to a `.safetensors` or `.npz` file for the programs of the dialect, completely or not at
    all.

    Raises CheckpointError for any other suffix, or if the operating system refuses to write. Also raises the
    errors of to_gpt2.
    """
    write_arrays(path, to_gpt2(config, state, dialect))


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a `.safetensors` or `.npz` file, completely or not at all. Raises CheckpointError for
    another suffix, or if the operating system refuses to write.
    """
    path = Path(path)
    write = {".npz": _write_npz, ".safetensors": _write_safetensors}[_suffix(path)]
    write(path, {name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _suffix(path: Path) -> str:
    if path.suffix not in (".npz", ".safetensors"):
        raise CheckpointError(f"{path}: weights must be in a .safetensors or .npz file "
                              f"(safetensors.torch.save_model writes a PyTorch model)", item=str(path))
    return path.suffix


def _read_npz(file: BinaryIO, path: Path, choose: Choose) -> dict[str, np.ndarray]:
    try:
        members = Members(file, path, CheckpointError, compressed=True)
        names = {name.removesuffix(".npy"): name for name in members if name.endswith(".npy")}
        chosen = choose({name: members.header(member).declared for name, member in names.items()})
        arrays = {name: read_array(members.read(names[name]), path, CheckpointError) for name in names
                  if name in chosen}
    except MiniparError:
        raise
    except Exception as error:  # zipfile raises many types of errors for damaged bytes
        raise CheckpointError(f"{path} is damaged, or not an .npz file of numbers; get it again") from error
    return arrays


def _write_npz(path: Path, arrays: dict[str, Any]) -> None:
    with replacing(path) as file:
        np.savez(file, **arrays)


def _read_safetensors(file: BinaryIO, path: Path, choose: Choose) -> dict[str, np.ndarray]:
    opened_file = SafetensorsFile(file, path, CheckpointError)
    chosen = choose(opened_file.declared)
    return {name: opened_file.read(name) for name in opened_file.declared if name in chosen}


def _write_safetensors(path: Path, arrays: dict[str, Any]) -> None:
    # Hugging Face's loader requires this entry
    contents = _safetensors(path).save(arrays, {"format": "pt"})
    with replacing(path) as file:
        file.write(contents)


def _safetensors(path: Path) -> Any:
    """Imports the optional package. Only the writing of a .safetensors file needs this package."""
    try:
        import safetensors.numpy
    except ImportError:
        raise CheckpointError(f"{path}: this format needs the package safetensors: pip install safetensors; "
                              f"or use .npz") from None
    return safetensors.numpy
