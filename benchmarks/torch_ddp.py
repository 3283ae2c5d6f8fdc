"""What scaling.py puts beside minipar: PyTorch's DistributedDataParallel over gloo, two processes of one
thread each.

    python benchmarks/torch_ddp.py small|medium       prints times as JSON
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from step import CONFIGS, text

from tests.torch_gpt import TorchGPT

CONTENDERS = {"1 rank": 1, "dp 2": 2, "dp 2, same batch": 1}        # name -> times the batch


def work(rank: int, name: str, port: int, answer: multiprocessing.SimpleQueue) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    config, batch, rounds = CONFIGS[name]
    steps = {}
    for key, times in CONTENDERS.items():
        tokens, targets = map(torch.from_numpy, text(config, batch * times))
        model = TorchGPT(config)
        optimizer = model.adamw(1e-3, 0.1, foreach=True)
        if key != "1 rank":
            half = len(tokens) // 2
            tokens, targets = tokens[rank * half:][:half], targets[rank * half:][:half]
            model = torch.nn.parallel.DistributedDataParallel(Loss(model), gradient_as_bucket_view=True)
        else:
            model = Loss(model)
        steps[key] = make_step(model, optimizer, tokens, targets)
    seconds: dict[str, list[float]] = {key: [] for key in steps}
    for number in range(2 + rounds):
        for key, step in steps.items():
            dist.barrier()
            began = time.perf_counter()
            if key != "1 rank" or rank == 0:
                step()
            dist.barrier()
            if number >= 2:
                seconds[key].append(time.perf_counter() - began)
    if rank == 0:
        answer.put(seconds)
    dist.destroy_process_group()


class Loss(torch.nn.Module):
    """DDP wants a forward."""

    def __init__(self, model: TorchGPT):
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.model.loss(tokens, targets)


def make_step(model, optimizer, tokens, targets):
    def step() -> None:
        optimizer.zero_grad()
        model(tokens, targets).backward()
        optimizer.step()
    return step


def main(name: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    multiprocessing.spawn(work, (name, port, answer), nprocs=2)
    print(json.dumps(answer.get()))


if __name__ == "__main__":
    main(sys.argv[1])
