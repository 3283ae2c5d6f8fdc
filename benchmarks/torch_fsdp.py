"""What sharding.py puts beside minipar: PyTorch's FSDP (`fully_shard`) and DDP over gloo, two processes of
one thread each.

    python benchmarks/torch_fsdp.py small|medium      prints times as JSON
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
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch_ddp import Loss, make_step

from tests.torch_gpt import TorchGPT

CONTENDERS = ("DDP", "FSDP", "FSDP, not resharded")


def wrapped(key: str, model: TorchGPT) -> torch.nn.Module:
    """The model as DDP or FSDP shards it: a unit for each block, and one for the rest."""
    if key == "DDP":
        return torch.nn.parallel.DistributedDataParallel(Loss(model), gradient_as_bucket_view=True)
    mesh, reshard = init_device_mesh("cpu", (2,)), key == "FSDP"
    for block in model.transformer["h"]:
        fully_shard(block, mesh=mesh, reshard_after_forward=reshard)
    loss = Loss(model)
    fully_shard(loss, mesh=mesh, reshard_after_forward=reshard)
    return loss


def work(rank: int, name: str, port: int, answer: multiprocessing.SimpleQueue) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    config, batch, rounds = CONFIGS[name]
    tokens, targets = (torch.from_numpy(array)[rank * batch:][:batch] for array in text(config, 2 * batch))
    steps = {}
    for key in CONTENDERS:
        model = TorchGPT(config)
        loss = wrapped(key, model)
        steps[key] = make_step(
            loss, torch.optim.AdamW(loss.parameters(), 1e-3, foreach=True), tokens, targets
        )
    seconds: dict[str, list[float]] = {key: [] for key in steps}
    for number in range(2 + rounds):
        for key, step in steps.items():
            dist.barrier()
            began = time.perf_counter()
            step()
            dist.barrier()
            if number >= 2:
                seconds[key].append(time.perf_counter() - began)
    if rank == 0:
        answer.put(seconds)
    dist.destroy_process_group()


def main(name: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    answer = multiprocessing.get_context("spawn").SimpleQueue()
    multiprocessing.spawn(work, (name, port, answer), nprocs=2)
    print(json.dumps(answer.get()))


if __name__ == "__main__":
    main(sys.argv[1])
