"""The pictures of the lessons, one file for each."""

import minipar.plots  # noqa: F401  # imports matplotlib, whatever MPLBACKEND says
