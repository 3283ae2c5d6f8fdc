"""Compression at the speed of memory: rounding, pruning and integer products against a copy and against BLAS.

    python benchmarks/compress.py [--restarts 3]

Elementwise work on 10 million float32 is measured in copies: the time of `np.copyto`, which reads and writes
them once. Integer products are measured against the float32 product of the same shape. One core, in turns:
see README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from turns import in_fresh_processes, measure, milliseconds, ratios

import minipar as mp
from minipar.compress import prune
from minipar.compress.quantize import Limits, Scheme, fake_quantize, integer_matmul, pack, quantize
from minipar.malloc import keep_freed_memory

COPY, PRODUCT = "np.copyto", "float32 product, BLAS"
AFFINE = Scheme(bits=8, symmetric=False)

Calls = dict[str, Callable[[], object]]


def elementwise(rows: int, columns: int) -> Calls:
    """What compression does to each number of a matrix."""
    x = np.random.default_rng(0).standard_normal((rows, columns), np.float32)
    copy, codes = np.empty_like(x), quantize(x, AFFINE)
    four_bits = quantize(x, Scheme(bits=4))
    six = np.full((1, 1), 6, np.float32)
    return {
        COPY: partial(np.copyto, copy, x),
        "quantise, affine": partial(quantize, x, AFFINE),
        "quantise, symmetric": partial(quantize, x, Scheme(bits=8)),
        "quantise, 16 bits": partial(quantize, x, Scheme(bits=16)),
        "quantise, range known": partial(quantize, x, AFFINE, Limits(-six, six)),
        "quantise, per column": partial(quantize, x, Scheme(bits=8, axis=1)),
        "quantise, per row": partial(quantize, x, Scheme(bits=8, axis=0)),
        "quantise, groups of 50": partial(quantize, x, Scheme(bits=8, axis=1, group=50)),
        "dequantise": codes.dequantize,
        "quantise and back, in training": partial(fake_quantize, mp.Tensor(x), AFFINE),
        "pack 4 bits": partial(pack, four_bits.codes, 4),
        "prune below a threshold": partial(prune.threshold_mask, {"x": x}, 0.5),
        "prune half, by magnitude": partial(prune.magnitude_mask, {"x": x}, 0.5),
    }


def products(n: int, K: int, m: int) -> Calls:
    """[n, K] @ [K, m]: as floats, as int8 with exact sums, and as NumPy multiplies integers."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-127, 128, shape, np.int8) for shape in ((n, K), (K, m)))
    floats = a.astype(np.float32), b.astype(np.float32)
    doubles = a.astype(np.float64), b.astype(np.float64)
    wide = a.astype(np.int32), b.astype(np.int32)
    return {PRODUCT: partial(np.matmul, *floats), "float64 product, BLAS": partial(np.matmul, *doubles),
            "integer_matmul, int8": partial(integer_matmul, a, b),
            "NumPy's int32 product": partial(np.matmul, *wide)}


PARTS: dict[str, tuple[Callable[[], Calls], int, str]] = {          # name -> calls, rounds, base
    "10 million numbers": (partial(elementwise, 10_000, 1_000), 7, COPY),
    "[128, 1024] @ [1024, 1024]": (partial(products, 128, 1024, 1024), 7, PRODUCT),
    "[128, 4096] @ [4096, 1024]": (partial(products, 128, 4096, 1024), 5, PRODUCT),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=3, help="fresh processes")
    parser.add_argument("--once", choices=PARTS,
                        help="measure one part in this process and print the times as JSON")
    arguments = parser.parse_args()
    if arguments.once:
        calls, rounds, _ = PARTS[arguments.once]
        keep_freed_memory()
        print(json.dumps(measure(calls(), rounds)))
        return
    for name, (_, rounds, base) in PARTS.items():
        runs = in_fresh_processes(__file__, ["--once", name], arguments.restarts)
        print(f"\n{name}, {arguments.restarts} runs of {rounds} rounds")
        print(f"{'':32}{'ms':>9}   time over that of {base}: median of the runs (lowest to highest)")
        for call in runs[0]:
            r = ratios(runs, call, base)
            print(f"{call:32}{milliseconds(runs, call):9.1f}   {median(r):.2f}  ({r[0]:.2f} to {r[-1]:.2f})")


if __name__ == "__main__":
    main()
