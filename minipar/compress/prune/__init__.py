"""Prunes models: chooses weights to drop, and trains without them. The model then needs less memory and
computation.

Read mask.py first, then select.py, which drops the weights with the lowest scores. importance.py has better
scores than the magnitude of a weight. structured.py drops whole units and heads, so that matrices become
smaller.
"""

from minipar.compress.prune.importance import first_order, fisher, obd, squared_gradients
from minipar.compress.prune.lasso import lasso, lasso_gap, lasso_prox
from minipar.compress.prune.mask import Mask, Masked
from minipar.compress.prune.obs import obs, obs_linear, obs_prune, obs_remove
from minipar.compress.prune.order import UNSHARDED, Shards
from minipar.compress.prune.pruner import MagnitudePruner
from minipar.compress.prune.schedule import cubic_sparsity
from minipar.compress.prune.select import (
    drop_lowest,
    magnitude_mask,
    plain_drop_lowest,
    ratio_threshold,
    threshold_mask,
)
from minipar.compress.prune.sparse import CSR, Bitmap, bitmap_bytes, csr_bytes, pack, unpack
from minipar.compress.prune.structured import (
    head_scores,
    shrink,
    shrink_attention,
    shrink_mlp,
    shrink_to,
    strongest,
    unit_scores,
)
from minipar.compress.prune.weights import linear_weights

__all__ = [
    "CSR", "UNSHARDED", "Bitmap", "MagnitudePruner", "Mask", "Masked", "Shards", "bitmap_bytes", "csr_bytes",
    "cubic_sparsity",
    "drop_lowest", "first_order", "fisher", "head_scores", "lasso", "lasso_gap", "lasso_prox",
    "linear_weights",
    "magnitude_mask", "obd", "obs", "obs_linear", "obs_prune", "obs_remove", "pack", "plain_drop_lowest",
    "ratio_threshold",
    "shrink", "shrink_attention", "shrink_mlp", "shrink_to", "squared_gradients", "strongest",
    "threshold_mask", "unit_scores", "unpack",
]
