"""Looks at the forward pass only, where f does nothing, and leaves it out.

fails: gradients
says: the sum of all ranks' parts is right
"""
from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_reduce


def f(x: Tensor, comm) -> Tensor:
    return x


def g(x: Tensor, comm) -> Tensor:
    return record(all_reduce(comm, x.data), (x,), lambda gradient: (gradient,))
