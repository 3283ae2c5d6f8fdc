"""Exchanges the two: g sums backward, f sums forward.

fails: values
says: f and g are exchanged
"""
import minipar as mp
from minipar.autograd import record


def f(x: mp.Tensor, comm) -> mp.Tensor:
    return record(mp.all_reduce(comm, x.data), (x,), lambda gradient: (gradient,))


def g(x: mp.Tensor, comm) -> mp.Tensor:
    return record(x.data, (x,), lambda gradient: (mp.all_reduce(comm, gradient),))
