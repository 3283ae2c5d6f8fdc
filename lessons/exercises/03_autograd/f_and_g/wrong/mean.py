"""Averages, as data parallelism does with gradients.

fails: values
says: times too small
"""
import minipar as mp
from minipar.autograd import record


def f(x: mp.Tensor, comm) -> mp.Tensor:
    return record(x.data, (x,), lambda gradient: (mp.all_reduce(comm, gradient, "mean"),))


def g(x: mp.Tensor, comm) -> mp.Tensor:
    return record(mp.all_reduce(comm, x.data, "mean"), (x,), lambda gradient: (gradient,))
