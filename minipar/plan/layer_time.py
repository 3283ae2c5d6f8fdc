"""The work of one layer, one micro-batch and one rank of tp: FLOPs, bytes moved in memory, messages.

Forward (Narayanan et al. 2021, section 3.2 and appendix; Korthikanti et al. 2022, section 4):

    FLOPs       the matrix products (`counts.forward_flops`), divided over tp
    moved       bytes that element-wise operations read and write: the LayerNorms, dropout, residual sums, the
                activation of the MLP, and, without flash attention, softmax, mask and dropout of the scores
    messages    two all-reduces of n D elements with tp > 1; under sequence parallelism, a reduce-scatter and
                an all-gather each, which take as long

Backward needs twice the FLOPs and the bytes, and as many messages. "full" recomputation adds one forward with
its messages; "selective" adds the products and bytes of the scores, without messages.
"""

# b samples of a micro-batch, T tokens, n = b T; D model width, H heads, F hidden width, V vocabulary; t: tp

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from minipar.config import ModelConfig
from minipar.plan.counts import Architecture, architecture, causal_pairs, every_pair
from minipar.plan.groups import collective
from minipar.plan.machine import Machine
from minipar.plan.software import Software


class Workload(NamedTuple):
    """flops: of matrix products; moved: bytes; launches: in units of the machine's `launch`; talk: seconds of
    messages along tp.
    """

    flops: float = 0.0
    moved: float = 0.0
    launches: float = 0.0
    talk: float = 0.0

    def plus(self, other: Workload, times: float = 1) -> Workload:
        return Workload(*(mine + times * its for mine, its in zip(self, other, strict=True)))

    def compute(self, machine: Machine) -> float:
        """Seconds without messages."""
        return self.flops / machine.rate + self.moved / machine.memory_rate + self.launches * machine.launch


class LayerWorkload(NamedTuple):
    """The work of a part of the model: forward, the backward of its inputs and of its weights, and the
    forward that is recomputed in backward.
    """

    forward: Workload
    inputs: Workload
    weights: Workload
    again: Workload

    @property
    def backward(self) -> Workload:
        return self.inputs.plus(self.weights).plus(self.again)


@lru_cache(maxsize=1 << 14)
def layer_work(
    model: ModelConfig,
    b: int,
    tp: int,
    sequence_parallel: bool,
    recompute: str,
    itemsize: int,
    machine: Machine,
    software: Software,
) -> LayerWorkload:
    """One block of attention and MLP."""
    sizes = architecture(model)
    T, D, F = sizes.context, sizes.width, sizes.mlp_width
    n = b * T
    pairs = (causal_pairs if software.causal else every_pair)(T)
    scores = 4 * b * pairs * D / tp
    dense = 2 * n * D * (2 * D + 2 * sizes.kv_width + F * (2 + sizes.gated)) / tp
    of_scores = 0.0 if software.flash else score_bytes(sizes, b, itemsize) / tp
    moved = of_scores + elementwise_bytes(sizes, n, tp, sequence_parallel, itemsize)
    talk = 2 * collective("all_reduce", tp, n * D * itemsize, 1, machine)
    forward = Workload(scores + dense, moved, 1 / 3, talk)
    again = {"none": Workload(), "selective": Workload(scores, of_scores, 1 / 9), "full": forward}[recompute]
    if software.flash:  # its backward computes the scores again, whatever the option says
        again = Workload(scores / 2).plus(again, recompute == "full")
    # sequence parallelism gathers a gradient before it can compute with it; no product hides that half
    exposed = talk * (sequence_parallel / 2 if software.hidden_tensor else 1)
    inputs = Workload(dense + 2 * scores, 2 * moved, 2 / 3, exposed)
    return LayerWorkload(forward, inputs, Workload(dense), again)


def elementwise_bytes(sizes: Architecture, n: int, tp: int, sequence_parallel: bool, itemsize: int) -> float:
    """Bytes that the element-wise operations of one forward move, but for the scores.

    Elements per token: two norms read and write D each; two residual sums read 2 D and write D each, after
    the bias; with dropout a mask of one byte. The activation reads F (2 F with a gate) and writes F.
    """
    between = n / tp if sequence_parallel else n
    masks = 2 * between * sizes.width if sizes.dropout else 0
    return itemsize * (between * sizes.width * 10 + n * sizes.mlp_width * (2 + sizes.gated) / tp) + masks


def score_bytes(sizes: Architecture, b: int, itemsize: int) -> float:
    """Bytes that one forward moves for the scores: a product writes them; scale, mask and softmax (one
    kernel) read and write; dropout reads and writes, and writes a mask of one byte; a product reads them.
    """
    scores = b * sizes.heads * sizes.context**2
    return scores * (6 * itemsize + 1 if sizes.dropout else 4 * itemsize)


@lru_cache(maxsize=1 << 14)
def end_work(
    model: ModelConfig,
    b: int,
    tp: int,
    sequence_parallel: bool,
    itemsize: int,
    machine: Machine,
    software: Software,
) -> tuple[LayerWorkload, LayerWorkload]:
    """The embedding, which the first stage has, and the head with the loss, which the last stage has."""
    n, D, V = b * model.context, model.width, model.vocabulary
    message = collective("all_reduce", tp, n * D * itemsize, 1, machine)
    rows = n * D * itemsize / (tp if sequence_parallel else 1)
    look_up = Workload(0.0, 3 * rows, 1 / 3, message)
    first = LayerWorkload(look_up, Workload(0.0, 2 * rows, 1 / 3, 0.0), Workload(), Workload())
    logits = n * V / tp
    product = 2 * logits * D
    # the loss reads and writes the logits in 32 bits: a copy, maximum, exponentials, sum
    loss = collective("all_reduce", tp, 3 * n * 4, 1, machine)
    head = LayerWorkload(
        Workload(product, logits * (itemsize + 12) + 2 * rows, 1 / 3, loss),
        Workload(
            product, logits * (itemsize + 4) + 4 * rows, 2 / 3, 0.0 if software.hidden_tensor else message
        ),
        Workload(product),
        Workload(),
    )
    return first, head
