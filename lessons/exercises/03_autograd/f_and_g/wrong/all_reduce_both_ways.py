"""Takes the derivative of an all-reduce for an all-reduce: true of the sum, but y is not summed again later.

fails: gradients
says: times too large
"""
import minipar as mp
from minipar.autograd import record


def f(x: mp.Tensor, comm) -> mp.Tensor:
    return record(x.data, (x,), lambda gradient: (mp.all_reduce(comm, gradient),))


def g(x: mp.Tensor, comm) -> mp.Tensor:
    return record(mp.all_reduce(comm, x.data), (x,), lambda gradient: (mp.all_reduce(comm, gradient),))
