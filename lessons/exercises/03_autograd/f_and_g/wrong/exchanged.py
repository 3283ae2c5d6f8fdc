"""Exchanges the two: g sums backward, f sums forward.

fails: values
says: the result
"""
from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_reduce


def f(x: Tensor, comm) -> Tensor:
    return record(all_reduce(comm, x.data), (x,), lambda gradient: (gradient,))


def g(x: Tensor, comm) -> Tensor:
    return record(x.data, (x,), lambda gradient: (all_reduce(comm, gradient),))
