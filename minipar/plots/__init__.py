"""Draws plots of given data. Only this package imports matplotlib.

Plots are written to files, so the backend in MPLBACKEND is not used. But if this backend is not installed
(for example Jupyter's, in `!minipar`), the import of matplotlib fails. In this case matplotlib is imported
again without the variable.
"""

import os
import sys

try:
    import matplotlib  # noqa: F401
except ValueError:
    _backend = os.environ.pop("MPLBACKEND", None)
    for _name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        del sys.modules[_name]  # the failed import left these modules
    try:
        import matplotlib  # noqa: F401
    finally:
        if _backend is not None:
            os.environ["MPLBACKEND"] = _backend
