"""Averages, as data parallelism does with gradients.

fails: values
says: times too small
"""
from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_reduce


def f(x: Tensor, comm) -> Tensor:
    return record(x.data, (x,), lambda gradient: (all_reduce(comm, gradient, "mean"),))


def g(x: Tensor, comm) -> Tensor:
    return record(all_reduce(comm, x.data, "mean"), (x,), lambda gradient: (gradient,))
