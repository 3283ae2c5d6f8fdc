"""Where a reader stopped in a lesson, and what they predicted: a small file that is replaced whole."""

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
    """section: the number of the one to go on with, from 0. predictions: question -> what was predicted,
    locked.
    """

    section: int = 0
    predictions: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Raises CheckpointError where the system refuses."""
        with replacing(path) as file:
            file.write(json.dumps(asdict(self), indent=1, ensure_ascii=False).encode())


def read_progress(path: Path) -> Progress:
    """What is known of a reader; a fresh start where there is no file. Raises ConfigError for one that is
    broken.
    """
    try:
        known = parse_json(read_bytes(path, MIB, ConfigError), path, ConfigError)
    except FileNotFoundError:
        return Progress()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; remove it to begin anew") from error
    try:
        section, predictions = known["section"], known["predictions"]
        valid = (type(section) is int and section >= 0
                 and all(isinstance(text, str) for text in predictions.values()))
    except (TypeError, KeyError, AttributeError):
        valid = False
    if not valid:
        raise ConfigError(f"{path} is no record of a lesson; remove it to begin anew")
    return Progress(section, dict(predictions))
