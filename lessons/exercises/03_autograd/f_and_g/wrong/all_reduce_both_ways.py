"""Takes the derivative of an all-reduce for an all-reduce: true of the sum, but y is not summed again later.

fails: gradients
says: times too large
"""
from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_reduce


def f(x: Tensor, comm) -> Tensor:
    return record(x.data, (x,), lambda gradient: (all_reduce(comm, gradient),))


def g(x: Tensor, comm) -> Tensor:
    return record(all_reduce(comm, x.data), (x,), lambda gradient: (all_reduce(comm, gradient),))
