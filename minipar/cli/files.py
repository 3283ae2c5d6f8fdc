"""Results as files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from minipar.errors import ConfigError


def write_json(path: str, values: Any) -> None:
    """Write plain values; infinity and NaN, which JSON lacks, become null. Raises ConfigError where it cannot be written."""
    try:
        Path(path).write_text(json.dumps(_finite(values), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another file") from error


def _finite(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
