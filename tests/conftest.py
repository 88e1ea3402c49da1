"""Fixtures for all tests: a seed that differs from run to run, and each set of kernels in turn."""

import os
import random

import pytest
import torch
from devices import CPU_SETS, CUDA, DEVICES, KERNELS, using

import torchconv

SEED = int(os.environ.get("TORCHCONV_TEST_SEED", random.randrange(2**31)))


def pytest_report_header():
    sets = ", ".join(CPU_SETS)
    return [
        torchconv.build_info["summary"],
        f"torchconv: CPU can run {sets}; TORCHCONV_TEST_SEED={SEED} repeats this run",
    ]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(SEED)


@pytest.fixture(params=CPU_SETS)
def isa(request):
    """Runs the test once on every instruction set that this CPU can run."""
    with using(request.param):
        yield request.param


@pytest.fixture(params=KERNELS)
def kernels(request):
    """The same, and once with the kernels of a GPU, there, and, compiled for it, on the CPU."""
    with using(request.param):
        yield request.param


@pytest.fixture(params=CUDA)
def cuda(request):
    """Runs the test on a GPU, and with its kernels on the CPU."""
    with using(request.param):
        yield request.param


@pytest.fixture(params=DEVICES)
def device(request):
    """Runs the test on the CPU and on a GPU, where tensors are made if nothing else is said."""
    with using(request.param):
        yield request.param
