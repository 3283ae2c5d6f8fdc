"""Pictures as files."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from minipar.checkpoint.atomic import replacing
from minipar.errors import ConfigError

FORMATS = ("png", "svg")


def save(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write the figure as PNG or SVG, as the file's name ends; dpi: of a PNG, in pixels per inch.

    Raises ConfigError for another ending, CheckpointError where the file cannot be written.
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise ConfigError(f"{path} is to be a picture, but does not end in .png or .svg; choose one of them")
    with replacing(path) as file, warnings.catch_warnings():
        # letters of somebody's file name are boxes then
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=ending, dpi=dpi)
