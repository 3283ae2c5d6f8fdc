"""Looks at the forward pass only, where f does nothing, and leaves it out.

fails: gradients
says: the sum of all ranks' parts is right
"""
import minipar as mp
from minipar.autograd import record


def f(x: mp.Tensor, comm) -> mp.Tensor:
    return x


def g(x: mp.Tensor, comm) -> mp.Tensor:
    return record(mp.all_reduce(comm, x.data), (x,), lambda gradient: (gradient,))
