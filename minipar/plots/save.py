"""Write plots to files."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from minipar.checkpoint.atomic import replacing
from minipar.errors import ConfigError

FORMATS = ("png", "svg")


def save(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write the figure as PNG or SVG, by the ending of the file's name. `dpi` is the number of pixels per
    inch in a PNG.

    Raises ConfigError for any other ending, and CheckpointError if the file cannot be written.
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise ConfigError(f"{path} does not end in .png or .svg; choose one of them for a picture")
    with replacing(path) as file, warnings.catch_warnings():
        # letters that the font does not have are drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=ending, dpi=dpi)
