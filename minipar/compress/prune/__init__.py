"""Pruning: which weights a model can do without, how to train on without them, and how to store and compute less for it.

Read mask.py, then select.py; importance.py for better scores than the magnitude; structured.py for matrices that really
become smaller.
"""

from minipar.compress.prune.mask import Mask, Masked
from minipar.compress.prune.pruner import MagnitudePruner
from minipar.compress.prune.schedule import cubic_sparsity
from minipar.compress.prune.select import (
    ALONE,
    Shards,
    drop_lowest,
    magnitude_mask,
    plain_drop_lowest,
    ratio_threshold,
    threshold_mask,
)
from minipar.compress.prune.sparse import CSR, Bitmap, bitmap_bytes, csr_bytes, pack, unpack
from minipar.compress.prune.weights import linear_weights

__all__ = [
    "ALONE", "CSR", "Bitmap", "MagnitudePruner", "Mask", "Masked", "Shards", "bitmap_bytes", "csr_bytes", "cubic_sparsity",
    "drop_lowest", "linear_weights", "magnitude_mask", "pack", "plain_drop_lowest", "ratio_threshold", "threshold_mask",
    "unpack",
]
