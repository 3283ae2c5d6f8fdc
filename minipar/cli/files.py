"""Results as files, whose places are tried before the work begins."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minipar.errors import ConfigError


def require_file(path: str, endings: Sequence[str] = ()) -> None:
    """Raises ConfigError where no file can be written there, or where it must end otherwise. Nothing is left
    behind.

    A computation of an hour must not end with the discovery that its result has no place.
    """
    target = Path(path)
    if endings and target.suffix.lower() not in endings:
        raise ConfigError(
            f"{path} does not end in {' or '.join(endings)}; give the file one of these endings"
        )
    try:
        if target.exists():
            # a folder, or a pipe that nobody reads, is refused here
            os.close(os.open(target, os.O_WRONLY | os.O_NONBLOCK))
        else:
            tempfile.TemporaryFile(dir=target.parent).close()
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def require_folder(path: str | Path) -> None:
    """Raises ConfigError where there is no such folder and none can be made. Nothing is left behind."""
    target = Path(path)
    try:
        while not target.exists() and target != target.parent:
            target = target.parent
        tempfile.TemporaryFile(dir=target).close()
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def _refused(path: str | Path, error: OSError | ValueError) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}; choose "
                       "another place")


def write_json(path: str, values: Any) -> None:
    """Write plain values; infinity and NaN, which JSON lacks, become null. Raises ConfigError where it cannot
    be written.
    """
    try:
        Path(path).write_text(json.dumps(_finite(values), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise _refused(path, error) from error


def _finite(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
