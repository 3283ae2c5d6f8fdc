"""Files of GPT-2 weights as others write and read them: `.safetensors`, and plain `.npz`. Names: minipar.nn.gpt2_names.

Neither format runs code when it is opened. PyTorch's own files (`.pt`, `.bin`) are pickles, which do; they are refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from minipar.checkpoint.atomic import replacing
from minipar.config import ModelConfig
from minipar.errors import CheckpointError, ShapeError
from minipar.nn.gpt2_names import from_gpt2, to_gpt2


def load_gpt2(path: str | os.PathLike[str], heads: int | None = None) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    """The sizes and the state that a `.safetensors` or `.npz` file of GPT-2 weights holds; for `heads` see from_gpt2.

    Raises CheckpointError for a file that is missing, damaged, of another format, or not of a GPT-2.
    """
    path = Path(path)
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[_suffix(path)]
    try:
        return from_gpt2(read(path), heads)
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ShapeError as error:
        raise CheckpointError(f"{path}: {error}") from error


def save_gpt2(path: str | os.PathLike[str], config: ModelConfig, state: Mapping[str, np.ndarray],
              dialect: str = "huggingface") -> None:
    """Write a state as a `.safetensors` or `.npz` file that the dialect's programs read; all of it, or nothing.

    Raises CheckpointError for another suffix, or where the system refuses to write; as to_gpt2 does for the rest.
    """
    path = Path(path)
    write = {".npz": _write_npz, ".safetensors": _write_safetensors}[_suffix(path)]
    write(path, {name: np.ascontiguousarray(array) for name, array in to_gpt2(config, state, dialect).items()})


def _suffix(path: Path) -> str:
    if path.suffix not in (".npz", ".safetensors"):
        raise CheckpointError(f"{path}: weights come as .safetensors or .npz; save them so "
                              f"(safetensors.torch.save_model writes a PyTorch model)")
    return path.suffix


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        try:
            members = dict(NpzFile(file, allow_pickle=False))
        except Exception as error:                                  # on damaged bytes zipfile raises what it stumbles over
            raise CheckpointError(f"{path} is damaged, or no .npz file of numbers; get it again") from error
    return {name: member for name, member in members.items() if isinstance(member, np.ndarray)}


def _write_npz(path: Path, arrays: dict[str, Any]) -> None:
    with replacing(path) as file:
        np.savez(file, **arrays)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    package = _safetensors(path)
    contents = path.read_bytes()
    try:
        return package.load(contents)
    except KeyError as error:                                       # a dtype that NumPy does not have
        raise CheckpointError(f"{path} holds {error.args[0]} numbers, which NumPy lacks; save them as float32") from error
    except Exception as error:                                      # the package's own error class is not among its promises
        raise CheckpointError(f"{path} is damaged, or no .safetensors file; get it again") from error


def _write_safetensors(path: Path, arrays: dict[str, Any]) -> None:
    contents = _safetensors(path).save(arrays, {"format": "pt"})    # the mark that Hugging Face's loader asks for
    with replacing(path) as file:
        file.write(contents)


def _safetensors(path: Path):
    """The optional package, asked for only when such a file is at hand."""
    try:
        import safetensors.numpy
    except ImportError:
        raise CheckpointError(f"{path}: this format needs the package safetensors: pip install safetensors; "
                              f"or use .npz") from None
    return safetensors.numpy
