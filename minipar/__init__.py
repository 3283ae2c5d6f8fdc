"""minipar: how large models are trained in parallel, small enough to read and checked well enough to
trust.
"""

__version__ = "0.1.0"
