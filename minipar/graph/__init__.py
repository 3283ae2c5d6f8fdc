"""Records a forward pass as a graph, and makes the graph smaller without changing its results.

    from minipar.graph import capture, optimise

Read graph.py, capture.py and communication.py. Then read the passes (functions from a graph to a graph):
fold.py, common.py, dead.py, products.py, fuse.py, elementwise.py, layouts.py. Then read optimise.py, which
runs the passes.
"""

from minipar.graph.capture import capture
from minipar.graph.common import merge_common
from minipar.graph.counts import constant_bytes, moved_bytes, totals
from minipar.graph.dead import remove_dead
from minipar.graph.elementwise import fuse_elementwise
from minipar.graph.fold import fold_constants
from minipar.graph.fuse import fuse_patterns
from minipar.graph.graph import OpGraph, OpNode
from minipar.graph.layouts import LayoutChoice, choose_layouts
from minipar.graph.optimise import EXACT, ROUNDING, Optimised, PassReport, optimise
from minipar.graph.products import fold_norms, merge_linears

__all__ = [
    "EXACT", "ROUNDING", "LayoutChoice", "OpGraph", "OpNode", "Optimised", "PassReport", "capture",
    "choose_layouts", "constant_bytes", "fold_constants", "fold_norms", "fuse_elementwise", "fuse_patterns",
    "merge_common", "merge_linears", "moved_bytes", "optimise", "remove_dead", "totals",
]
