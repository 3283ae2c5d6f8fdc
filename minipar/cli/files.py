"""Files of results. A command tests their paths before its work begins."""

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
    """Raises ConfigError if the file cannot be written, or if its ending is not in `endings`. This function
    creates no file. It is called before a long computation, so that a wrong path is reported early.
    """
    target = Path(path)
    if endings and target.suffix.lower() not in endings:
        raise ConfigError(
            f"{path} does not end in {' or '.join(endings)}; give the file one of these endings"
        )
    try:
        if target.exists():
            # this fails for a folder, and for a pipe without a reader
            os.close(os.open(target, os.O_WRONLY | os.O_NONBLOCK))
        else:
            tempfile.TemporaryFile(dir=target.parent).close()
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def require_folder(path: str | Path) -> None:
    """Raises ConfigError if files cannot be written to the folder, or if it cannot be created. Creates
    nothing.
    """
    target = Path(path)
    try:
        while not target.exists() and target != target.parent:
            target = target.parent
        tempfile.TemporaryFile(dir=target).close()
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error


def _refused(path: str | Path, error: OSError | ValueError) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}; choose "
                       "another path")


def write_json(path: str, values: Any) -> None:
    """Write values as JSON. Infinity and NaN become null. Raises ConfigError if the file cannot be written.
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
