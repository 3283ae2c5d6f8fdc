"""Pictures: the only package that imports matplotlib. Each file draws what it is given, and measures
nothing.

Pictures are files, so the backend that MPLBACKEND names does not matter. But one that is not installed
(Jupyter's, as in `!minipar`) makes matplotlib refuse to be imported: then it is imported without the
variable.
"""

import os
import sys

try:
    import matplotlib  # noqa: F401
except ValueError:
    _backend = os.environ.pop("MPLBACKEND", None)
    for _name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        del sys.modules[_name]  # those that the refused import left behind
    try:
        import matplotlib  # noqa: F401
    finally:
        if _backend is not None:
            os.environ["MPLBACKEND"] = _backend
