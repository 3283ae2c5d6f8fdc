"""Computes the work of one layer for one micro-batch on one rank of tp: FLOPs, bytes moved in memory,
messages.

The work of forward is (Narayanan et al. 2021, section 3.2 and appendix; Korthikanti et al. 2022, section 4):

    FLOPs       the matrix products (`counts.forward_flops`), divided over tp
    moved       bytes that element-wise operations read and write: the LayerNorms, dropout, residual sums, the
                activation of the MLP, and, without flash attention, softmax, mask and dropout of the scores
    messages    two all-reduces of n D elements with tp > 1. With sequence parallelism, a reduce-scatter and
                an all-gather replace each all-reduce, and together take the same time

Backward needs twice the FLOPs and twice the bytes, and the same number of messages. "full" recomputation adds
one forward with its messages. "selective" recomputation adds the products and bytes of the scores, without
messages. With sequence parallelism, a rank of Megatron-LM keeps the layer's input only for its own tokens. So
backward gathers the inputs of attention and MLP again (Korthikanti et al. 2022, section 4.2.2). Matrix
products run during these two all-gathers. So the time on the links is hidden, but the overhead of the calls
and the bytes in memory still cost time. Every collective has the overhead of `collective_costs`.
"""

# b: samples of a micro-batch, T: tokens per sample, n = b T, D: model width, H: heads, F: hidden width,
# V: size of the vocabulary, t: tp
# tp: the axis of tensor parallelism

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from minipar.config import ModelConfig
from minipar.plan.collective_costs import overhead, tensor_overhead
from minipar.plan.counts import Architecture, architecture, causal_pairs, every_pair
from minipar.plan.groups import collective
from minipar.plan.machine import Machine
from minipar.plan.software import Software


class Workload(NamedTuple):
    """Holds an amount of work. flops: FLOPs of matrix products. moved: bytes moved in memory. launches:
    overhead in units of the machine's `launch`. talk: seconds of messages along tp.
    """

    flops: float = 0.0
    moved: float = 0.0
    launches: float = 0.0
    talk: float = 0.0

    def plus(self, other: Workload, times: float = 1) -> Workload:
        return Workload(*(mine + times * its for mine, its in zip(self, other, strict=True)))

    def compute(self, machine: Machine) -> float:
        """Returns the seconds of the work without messages."""
        return self.flops / machine.rate + self.moved / machine.memory_rate + self.launches * machine.launch


class LayerWorkload(NamedTuple):
    """Holds the work of a part of the model. forward: the forward pass. inputs, weights: the backward passes
    for the gradients of the inputs and of the weights. again: the forward work that backward recomputes.
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
    """Returns the work of one block of attention and MLP."""
    sizes = architecture(model)
    T, D, F = sizes.context, sizes.width, sizes.mlp_width
    n = b * T
    pairs = (causal_pairs if software.causal else every_pair)(T)
    scores = 4 * b * pairs * D / tp
    dense = 2 * n * D * (2 * D + 2 * sizes.kv_width + F * (2 + sizes.gated)) / tp
    of_scores = 0.0 if software.flash else score_bytes(sizes, b, itemsize) / tp
    moved = of_scores + elementwise_bytes(sizes, n, tp, sequence_parallel, itemsize)
    nbytes = n * D * itemsize
    talk = 2 * collective("all_reduce", tp, nbytes, 1, machine)
    own_work = 2 * tensor_overhead(nbytes, tp, sequence_parallel, b > 1, machine, software)
    forward = Workload(scores + dense, moved, 1 / 3, talk + own_work)
    again = {"none": Workload(), "selective": Workload(scores, of_scores, 1 / 9), "full": forward}[recompute]
    if software.flash:  # the backward of flash attention always recomputes the scores
        again = Workload(scores / 2).plus(again, recompute == "full")
    # with sequence parallelism, the products need the gathered gradient first, so the all-gathers (half of
    # the messages) cannot overlap with them
    exposed = talk * (sequence_parallel / 2 if software.hidden_tensor else 1)
    inputs = Workload(dense + 2 * scores, 2 * moved, 2 / 3, exposed + own_work)
    if sequence_parallel and software.copies:  # the gradients of norms and row biases are summed
        inputs = inputs.plus(Workload(talk=(2 + 4 * model.bias) * machine.call_overhead))
    elif sequence_parallel:
        inputs = inputs.plus(gathered_again(nbytes, tp, machine), 2)
    return LayerWorkload(forward, inputs, Workload(dense), again)


def gathered_again(nbytes: float, tp: int, machine: Machine) -> Workload:
    """Returns the work of an all-gather of `nbytes` that runs during matrix products. Its time on the links
    is not counted.

    A rank receives (tp - 1)/tp of the bytes. It writes them to its memory, and reads them to send them on
    along the ring.
    """
    return Workload(moved=2 * nbytes * (tp - 1) / tp, talk=machine.call_overhead)


def elementwise_bytes(sizes: Architecture, n: int, tp: int, sequence_parallel: bool, itemsize: int) -> float:
    """Returns the bytes that the element-wise operations of one forward read and write. The bytes of the
    attention scores are not included.

    For each token, two norms read D and write D elements each. Two residual sums read 2 D and write D
    elements each. The activation reads F elements (2 F with a gate) and writes F. With dropout, each mask
    adds one byte per element.
    """
    between = n / tp if sequence_parallel else n
    masks = 2 * between * sizes.width if sizes.dropout else 0
    return itemsize * (between * sizes.width * 10 + n * sizes.mlp_width * (2 + sizes.gated) / tp) + masks


def score_bytes(sizes: Architecture, b: int, itemsize: int) -> float:
    """Returns the bytes that one forward moves for the scores. A product writes the scores. One kernel of
    scale, mask and softmax reads and writes the scores. Dropout reads and writes the scores, and writes a
    mask of one byte per score. Another product reads the scores.
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
    """Returns the work of the embedding on the first stage, and of the head with the loss on the last stage.
    """
    n, D, V = b * model.context, model.width, model.vocabulary
    nbytes = n * D * itemsize
    message = collective("all_reduce", tp, nbytes, 1, machine)
    own_work = tensor_overhead(nbytes, tp, sequence_parallel, b > 1, machine, software)
    rows = n * D * itemsize / (tp if sequence_parallel else 1)
    look_up = Workload(0.0, 3 * rows, 1 / 3, message + own_work)
    # the call that sums the gradient of a replicated parameter over tp
    sums = machine.call_overhead if sequence_parallel and software.copies else 0.0
    positions = sums * architecture(model).positions
    first = LayerWorkload(look_up, Workload(0.0, 2 * rows, 1 / 3, positions), Workload(), Workload())
    logits = n * V / tp
    product = 2 * logits * D
    # the loss reads and writes the logits in 32 bits for a copy, the maximum, the exponentials and the sum
    loss = collective("all_reduce", tp, 3 * n * 4, 1, machine) + overhead(2, tp, machine)
    head = LayerWorkload(
        Workload(product, logits * (itemsize + 12) + 2 * rows, 1 / 3, loss),
        Workload(
            product,
            logits * (itemsize + 4) + 4 * rows,
            2 / 3,
            own_work + sums * (1 + model.bias) + (0.0 if software.hidden_tensor else message),
        ),
        Workload(product),
        Workload(),
    )
    return first, head
