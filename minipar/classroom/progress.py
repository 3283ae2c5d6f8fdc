"""Stores the progress of a reader in a lesson. The file is written completely or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from minipar.checkpoint.atomic import replacing
from minipar.errors import ConfigError
from minipar.untrusted.files import MIB, read_bytes
from minipar.untrusted.plain import parse_json


@dataclass
class Progress:
    """The progress of a reader. section: the index of the next section, counted from 0. predictions: question
    -> prediction. A prediction is never changed.
    """

    section: int = 0
    predictions: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file. Raises CheckpointError if this is not possible."""
        with replacing(path) as file:
            file.write(json.dumps(asdict(self), indent=1).encode())


def read_progress(path: Path) -> Progress:
    """Read the progress from a file. If there is no file, return the progress of a new reader. Raises
    ConfigError for an invalid file.
    """
    try:
        known = parse_json(read_bytes(path, MIB, ConfigError), path, ConfigError)
    except FileNotFoundError:
        return Progress()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; remove it to start again") from error
    try:
        section, predictions = known["section"], known["predictions"]
        valid = (type(section) is int and section >= 0
                 and all(isinstance(text, str) for text in predictions.values()))
    except (TypeError, KeyError, AttributeError):
        valid = False
    if not valid:
        raise ConfigError(f"{path} is not a record of a lesson; remove it to start again")
    return Progress(section, dict(predictions))
