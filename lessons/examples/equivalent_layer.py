"""A hand-written tensor-parallel layer, held against the serial one: right, and with two classic mistakes.

    python lessons/examples/equivalent_layer.py                     three ranks, as threads
    mpirun -n 3 python lessons/examples/equivalent_layer.py run     three processes
"""

import sys
from functools import partial

import numpy as np

import minipar as mp

rng = np.random.default_rng(0)
inputs = {
    "x": rng.standard_normal((6, 7)),
    "w": rng.standard_normal((7, 8)),
    "v": rng.standard_normal((8, 5)),
    "b": rng.standard_normal(5),
}
# w is sharded by columns, v by rows, and so are their gradients; all else is whole on every rank
shards = {"w": mp.Shard(axis=1), "dw": mp.Shard(axis=1), "v": mp.Shard(axis=0), "dv": mp.Shard(axis=0)}


def serial(x, w, v, b):
    """y = tanh(x w) v + b, and the gradients of sum(y y) / 2."""
    h = np.tanh(x @ w)                                          # [6, 8]
    y = h @ v + b                                               # [6, 5]
    dh = y @ v.T * (1 - h * h)
    return {"y": y, "dv": h.T @ y, "db": y.sum(axis=0), "dw": x.T @ dh, "dx": dh @ w.T}


def parallel(x, w, v, b, comm, mistake=""):
    """The same, by a rank that has some columns of w and some rows of v."""
    h = np.tanh(x @ w)                                          # [6, 8/p]
    part = h @ v + b if mistake == "bias before the sum" else h @ v
    y = mp.all_reduce(comm, part, label="y")
    if mistake != "bias before the sum":
        y = y + b
    dh = y @ v.T * (1 - h * h)
    dx = dh @ w.T
    if mistake != "dx not summed":
        dx = mp.all_reduce(comm, dx, label="dx")
    return {"y": y, "dv": h.T @ y, "db": y.sum(axis=0), "dw": x.T @ dh, "dx": dx}


def compare(comm, mistake=""):
    return mp.equivalent(comm, serial=serial, parallel=partial(parallel, mistake=mistake), inputs=inputs,
                         shards=shards)


if sys.argv[1:] == ["run"]:
    with mp.job() as comm:
        report = compare(comm)
        if comm.rank == 0:
            print(report)
else:
    for mistake in ("", "dx not summed", "bias before the sum"):
        report = mp.run(3, compare, mistake)[0]
        print(f"--- {mistake or 'right'}\n{report}\n")
        assert report.proven == (not mistake)
