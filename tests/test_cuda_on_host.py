"""The CUDA kernels compiled for the host, beyond what tests of operators show by `kernels`."""

import random

import pytest
import torch
from devices import cuda_on_host, using

pytestmark = pytest.mark.slow  # for the compiler


def where_registered(name):
    """The files of the CPU kernels of an operator, the one in use first."""
    lines = torch._C._dispatch_dump(f"torchconv::{name}").splitlines()
    return [line.split("/")[-1].split(":")[0] for line in lines if line.startswith("CPU")]


@pytest.mark.parametrize("name", ["sigmoid_backward", "relu_with_mask", "max_pool2d_gather"])
def test_they_take_the_place_of_the_cpus_kernels(name):
    before = where_registered(name)
    with using("cuda_on_host"):
        assert where_registered(name) == ["cuda_on_host.cpp", *before]
    assert where_registered(name) == before


@pytest.mark.parametrize("bits", [32, 64])
def test_division_by_a_known_number(bits):
    divide = getattr(cuda_on_host(), f"divide_{bits}")
    most, half = 2 ** (bits - 1) - 1, 2 ** (bits - 2)
    divisors = [*range(1, 70), 2**16, 2**16 + 1, half - 1, half, half + 1, most]
    divisors += [random.randrange(1, 2 ** random.randrange(1, bits)) for _ in range(300)]
    for d in divisors:
        near = [k * d + step for k in (1, 2, most // d - 1, most // d) for step in (-1, 0, 1)]
        for n in [0, 1, most, *near, *(random.randrange(most) for _ in range(30))]:
            if 0 <= n <= most:
                assert divide(n, d) == n // d, (n, d)
