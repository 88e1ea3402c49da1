"""What CUDA kernels owe their surroundings: streams, graphs, devices, large tensors.

That they compute the right numbers is tested with the operators, wherever a test takes ``kernels``.
"""

import pytest
import torch
from devices import GPU
from layouts import channels_last, contiguous

import torchconv

gpu = pytest.mark.parametrize("device", [GPU], indirect=True)
BACKWARD = {
    "sigmoid": torchconv.sigmoid,
    "relu": torchconv.relu,
    "max_pool2d": lambda x: torchconv.max_pool2d(x, 3, 2, 1),
}
functions = pytest.mark.parametrize("name", BACKWARD)


def value_and_gradient(function, x):
    x = x.detach().requires_grad_()
    out = function(x)
    return out.detach(), *torch.autograd.grad(out, x, torch.ones_like(out))


def assert_equal(ours, expected):
    for a, b in zip(ours, expected, strict=True):
        assert torch.equal(a, b)


def test_operators_with_cuda_kernels():
    operators = torchconv.backends.cuda_operators()
    assert bool(operators) == bool(torchconv.build_info["cuda"])
    assert all(hasattr(torch.ops.torchconv, name) for name in operators)


@gpu
@functions
def test_a_captured_graph_is_replayed_on_new_values(device, name):
    x = torch.randn(2, 3, 40, 50)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        value_and_gradient(BACKWARD[name], x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = value_and_gradient(BACKWARD[name], x)
    for _ in range(3):
        x.copy_(torch.randn_like(x))
        graph.replay()
        assert_equal(captured, value_and_gradient(BACKWARD[name], x))


@gpu
@functions
def test_kernels_run_in_the_current_stream(device, name):
    x = torch.empty(64, 64, 56, 56)
    new = torch.randn_like(x)
    expected = value_and_gradient(BACKWARD[name], new)
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in range(2)]
    results = []
    for stream in streams:
        with torch.cuda.stream(stream):
            torch.cuda._sleep(20_000_000)  # some 10 ms, in which a kernel elsewhere would be done
            here = torch.zeros_like(x).copy_(new)
            results.append(value_and_gradient(BACKWARD[name], here))
    torch.cuda.synchronize()
    for result in results:
        assert_equal(result, expected)


@gpu
@functions
def test_nothing_waits_for_the_gpu(device, name):
    x = torch.randn(2, 3, 40, 50)
    torch.cuda.set_sync_debug_mode("error")
    try:
        value_and_gradient(BACKWARD[name], x)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@gpu
@functions
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")
def test_kernels_run_on_the_device_of_their_tensors(device, name):
    x = torch.randn(2, 3, 40, 50)
    other = value_and_gradient(BACKWARD[name], x.to("cuda:1"))
    assert all(t.device == torch.device("cuda:1") for t in other)
    assert torch.cuda.current_device() == 0
    assert_equal([t.to("cuda:0") for t in other], value_and_gradient(BACKWARD[name], x))


@gpu
@functions
@pytest.mark.parametrize("layout", [contiguous, channels_last])
def test_more_images_than_a_grid_has_rows(device, name, layout):
    x = layout(torch.randn(70_000, 2, 5, 5))
    ours = value_and_gradient(BACKWARD[name], x)
    first, last = (value_and_gradient(BACKWARD[name], part) for part in (x[:9], x[-9:]))
    assert_equal([t[:9] for t in ours], first)
    assert_equal([t[-9:] for t in ours], last)


@gpu
@pytest.mark.slow
def test_more_than_two_to_the_31_elements(device):
    """All in one test, so that no two of them want the memory at the same time."""
    if torch.cuda.mem_get_info()[0] < 40 << 30:
        pytest.skip("the GPU has no 40 GiB free")
    images = 2**31 // (2 * 1024 * 1024) + 2
    for layout in (torch.contiguous_format, torch.channels_last):
        sizes = (images, 2, 1024, 1024)
        x = torch.empty(sizes, dtype=torch.float16, memory_format=layout).normal_()
        for function in BACKWARD.values():
            ours = value_and_gradient(function, x)
            assert_equal([t[-2:] for t in ours], value_and_gradient(function, x[-2:]))
            del ours
    del x
    torch.cuda.empty_cache()


@gpu
def test_operators_of_different_devices_are_refused(device):
    ops, there, here = torch.ops.torchconv, torch.zeros(4, 4), torch.zeros(4, 4, device="cpu")
    with pytest.raises(RuntimeError, match=r"out.device == cuda:0 \(grad_out.device\), but"):
        ops.sigmoid_backward(there, here)
    with pytest.raises(RuntimeError, match=r"mask.device == cpu \(grad_out.device\), but got cuda"):
        ops.relu_backward(here, torch.zeros(1, 2, dtype=torch.uint8), [4, 1])


@gpu
def test_biases_sum_more_than_32_bits_can_count(device):
    ones = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    grad = torch.ops.torchconv.conv2d_backward_bias(ones.expand(32768 + 5, 2, 256, 256), None)
    assert grad.tolist() == [(32768 + 5) * 65536.0] * 2
    grad = torch.ops.torchconv.linear_backward_bias(ones[0, 0].expand(2**31 + 64, 3))
    assert grad.tolist() == [2.0**31 + 64] * 3
