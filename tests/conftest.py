"""Fixtures for all tests: a seed that differs from run to run, and each instruction set in turn."""

import os
import random

import pytest
import torch

import torchconv

ISAS = torchconv.backends.available_cpu_isas()
SEED = int(os.environ.get("TORCHCONV_TEST_SEED", random.randrange(2**31)))


def pytest_report_header():
    return [
        torchconv.build_info["summary"],
        f"torchconv: CPU can run {', '.join(ISAS)}; TORCHCONV_TEST_SEED={SEED} repeats this run",
    ]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(SEED)


@pytest.fixture(params=ISAS)
def isa(request):
    """Runs the test once on every instruction set that this CPU can run."""
    with torchconv.backends.cpu_isa(request.param):
        yield request.param
