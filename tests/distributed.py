"""What one process of several does; a module, so that a new process can import it."""

import torch
from operators import network

import torchconv


def train(rank, folder, results):
    """One process of two: half of the batch, gradients averaged by DistributedDataParallel."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    net, x = network_and_batch()
    parallel = torch.nn.parallel.DistributedDataParallel(net)
    parallel(x[rank::2]).square().mean().backward()
    results[rank] = [p.grad.tolist() for p in net.parameters()]
    torch.distributed.destroy_process_group()


def network_and_batch():
    torch.manual_seed(0)
    net = network(torchconv.nn).double()
    return net, torch.randn(6, 1, 8, 8, dtype=torch.float64)
