"""Defines automatic differentiation on NumPy arrays: a tape, its ops, and checks of gradients.

Read tape.py and tensor.py first, then engine.py and elementwise.py. Then read one fused op with its plain
form, and recompute.py.
"""

from minipar.autograd.boundary import inlet
from minipar.autograd.elementwise import (
    absolute,
    dropout,
    exp,
    log,
    maximum,
    plain_gelu,
    relu,
    sigmoid,
    sqrt,
    tanh,
    where,
)
from minipar.autograd.engine import Deferred, backward
from minipar.autograd.fused import (
    add_bias,
    causal_attention,
    cross_entropy,
    embedding,
    gelu,
    layernorm,
    linear,
    unembedding,
)
from minipar.autograd.fused.cross_entropy import IGNORE, tokens_that_count
from minipar.autograd.gradcheck import GradientCheck, gradcheck
from minipar.autograd.hessian import hessian_vector_product
from minipar.autograd.recompute import recompute
from minipar.autograd.reductions import log_softmax, max, mean, softmax, sum
from minipar.autograd.shapes import (
    broadcast_to,
    concatenate,
    reshape,
    split,
    swapaxes,
    transpose,
)
from minipar.autograd.tape import no_grad
from minipar.autograd.tensor import Tensor, matmul, record

__all__ = [
    "IGNORE", "Deferred", "GradientCheck", "Tensor", "absolute", "add_bias", "backward", "broadcast_to",
    "causal_attention", "concatenate", "cross_entropy", "dropout", "embedding", "exp", "gelu", "gradcheck",
    "hessian_vector_product", "inlet",
    "layernorm", "linear", "log", "log_softmax", "matmul", "max", "maximum", "mean", "no_grad", "plain_gelu",
    "recompute",
    "record", "relu", "reshape", "sigmoid", "softmax", "split", "sqrt", "sum", "swapaxes", "tanh",
    "tokens_that_count", "transpose", "unembedding", "where",
]
