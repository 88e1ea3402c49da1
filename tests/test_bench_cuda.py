"""Times on a GPU: what is measured, which needs none, and how, which does."""

import json
import subprocess
import sys

import pytest
import torch

from torchconv.bench import cli, cuda_machine, timing_cuda
from torchconv.bench.calls import Options, calls_of, input_bytes, rotating_calls
from torchconv.bench.cases import CASES, arrange, derive
from torchconv.bench.results import Row, Timing
from torchconv.bench.tables import rows
from torchconv.bench.timing import Times
from torchconv.bench.verify import verify

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
SIDES = ("ours", "native")
SHAPES = {"pool": "N=2,C=3,H=6,R=3,stride=2,pad=1", "sigmoid": "size=1000", "relu": "size=1000"}
PRODUCTS = {
    "conv": "N=2,C=8,H=9,K=8,R=3,groups=8", "linear": "N=8,in=64,out=40", "matmul": "M=64",
    "block": "N=2,C=8,H=9,K=16,R=3",
}  # fmt: skip


# ---- what is timed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("set_bytes", "cache", "free", "sets"),
    [
        (1 << 30, 50 << 20, 1 << 36, 3),  # never fewer
        (40 << 20, 50 << 20, 1 << 36, 4),  # 3 would be larger than twice the cache, with 1 to spare
        (1 << 10, 50 << 20, 1 << 36, 128),  # nor more
        (10 << 20, 50 << 20, 160 << 20, 4),  # of a quarter of the free memory
        (10 << 20, 50 << 20, 1, 3),
    ],
)
def test_number_of_sets(set_bytes, cache, free, sets):
    assert timing_cuda.number_of_sets(set_bytes, cache, free) == sets


def test_sets_have_tensors_of_their_own():
    case = CASES["sigmoid"].parse("size=50")
    options = Options("float32", ["contiguous"], "cpu", 1, 1e-4)
    calls = rotating_calls(case, options, "forward", case.sides, 3)
    assert set(calls) == {("contiguous", "ours"), ("contiguous", "native")}
    found = {side: [call() for call in calls["contiguous", side]] for side in case.sides}
    for ours, native in zip(found["ours"], found["native"], strict=True):
        torch.testing.assert_close(ours, native)  # both sides of a set read the same
    assert not torch.equal(found["ours"][0], found["ours"][1])
    assert input_bytes(case, options) == 2 * 50 * 4


@pytest.mark.parametrize("operator", SHAPES)
def test_backward_on_its_own(operator):
    case = CASES[operator].parse(SHAPES[operator])
    for layout in case.layouts:
        x = arrange(case.tensors()[0], layout)
        grad_out = arrange(torch.randn_like(case.native(x)), layout)
        expected = derive(case.native, [x], [True], grad_out)[1]
        for side in case.sides:
            torch.testing.assert_close(case.backward(side, x, grad_out)(), expected)
    options = Options("float32", list(case.layouts), "cpu", 1, 1e-4)
    assert len(calls_of(case, options, "backward", case.sides)) == 2 * len(case.layouts)
    assert case.steps("cuda") == ("forward", "backward", "training")
    assert case.steps("cpu") == ("forward", "training")


@pytest.mark.parametrize(
    ("operator", "shape", "forward", "backward", "training"),
    [
        ("sigmoid", "size=1000", 8000, 12000, 20000),
        ("relu", "size=1000", 8000, 8125, 16250),
        ("pool", "N=2,C=3,H=6,R=2", 6 * 45 * 4, 6 * (45 * 4 + 9), 6 * (2 * 45 * 4 + 18)),
        # Of 7 rows and columns a window of 2 sees 6; of 5 with gaps, 4 in 2 windows.
        ("pool", "C=1,H=7,R=2", (36 + 9) * 4, (49 + 9) * 4 + 9, (36 + 49 + 18) * 4 + 18),
        ("pool", "C=1,H=5,R=2,stride=3", (16 + 4) * 4, 29 * 4 + 4, (16 + 25 + 8) * 4 + 8),
        ("pool", "C=1,H=20,R=16,stride=4", 404 * 4, 404 * 4 + 16, 808 * 4 + 32),  # 4 bytes each
    ],
)
def test_bytes_are_the_fewest(operator, shape, forward, backward, training):
    case = CASES[operator].parse(shape)
    moved = [case.bytes(step, 4) for step in ("forward", "backward", "training")]
    assert moved == [forward, backward, training]


def test_tables_have_their_own_batch_on_a_gpu():
    assert {case.batch for _, case in rows("pool", ["nets"], [], own=True)} == {1, 50, 64, 128}
    assert {case.batch for _, case in rows("pool", ["nets"], [2], own=True)} == {2}


def test_tf32_lets_through_what_its_rounding_explains(monkeypatch):
    case = CASES["matmul"].parse("M=40")

    def cut(tensor):  # to the 10 bits of mantissa that TF32 has
        return (tensor.view(torch.int32) & ~0x1FFF).view(torch.float32)

    class Cut(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return cut(a) @ cut(b)

        @staticmethod
        def backward(ctx, grad):
            a, b = ctx.saved_tensors
            return cut(grad) @ cut(b).T, cut(a).T @ cut(grad)

    monkeypatch.setattr(type(case), "ours", lambda self, a, b: Cut.apply(a, b))
    given = case, torch.float32, "cpu", ["contiguous"]
    assert "off by" in verify(*given).failure
    assert not verify(*given, tf32=True).failure


def test_only_the_cpu_computes_tiles_as_a_whole():
    case = CASES["conv"].parse("N=8,C=64,H=56,K=64,R=3,pad=1")
    assert any(case.tiled(torch.float32, "cpu"))
    assert not any(case.tiled(torch.float32, "cuda"))


def test_what_is_saved_is_measured(tmp_path):
    file = tmp_path / "saved.json"
    arguments = ["pool", "--shape", "N=2,C=3,H=6,R=2", "--seconds", "1e-4", "--save", str(file)]
    assert cli.main(arguments) == 0
    (found,) = json.loads(file.read_text())["rows"]
    assert found["saved"] == {"ours": 54, "native": 216 * 4 + 54 * 8}


def test_what_was_measured_outlives_an_interruption(tmp_path, monkeypatch, capsys):
    def interrupted(asked):
        one = Row("shape", "matmul", "M=2", "float32", work={"forward": 1e6})
        one.timings += [Timing("forward", "contiguous", side, Times(1, 1, 1, 5)) for side in SIDES]
        yield one
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.jobs, "done", interrupted)
    file = tmp_path / "saved.json"
    shape = ["--shape", "M=2", "--seconds", "1e-4"]
    assert cli.main(["matmul", *shape, "--save", str(file)]) == 1
    assert "interrupted: the last rows are missing" in capsys.readouterr().out
    assert len(json.loads(file.read_text())["rows"]) == 1


# ---- on a GPU ----------------------------------------------------------------------------------


@needs_gpu
def test_cuda_graphs_are_timed():
    pairs = [torch.rand(2, 1 << 24, device="cuda").requires_grad_() for _ in range(3)]

    def train(x):
        return torch.autograd.grad(torch.sigmoid(x), x, x.detach())

    calls = {
        "forward": [lambda x=x: torch.sigmoid(x.detach()) for x in pairs],
        "training": [lambda x=x: train(x) for x in pairs],
    }
    before = torch.cuda.memory_allocated()
    found = timing_cuda.interleave_graphs(calls, 0.01)
    assert all(1e-6 < times.median < 1 for times in found.values())
    assert found["forward"].repetitions >= 5
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before + (1 << 20)


FAILING = """
import torch
from torchconv.bench import timing_cuda
x = torch.rand(10, device="cuda")
try:
    timing_cuda.interleave_graphs({"a": [lambda: x.sum().item()]}, 0.01)
except timing_cuda.CaptureError as error:
    print(error)
"""


@needs_gpu
def test_what_cannot_be_captured_on_cuda_says_so():
    """In a process of its own, which may capture nothing more, as torch 2.11 leaves it."""
    ended = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, cwd="/")
    assert ended.stdout.startswith("cannot be captured in a CUDA graph: "), ended.stderr


@needs_gpu
def test_cuda_copies_at_some_rate():
    assert 10 < cuda_machine.copy_bandwidth(0.01) < 1e5
    assert cuda_machine.gpu()["driver"]


SETTINGS = """
import torch
from torchconv.bench import cuda_machine
cudnn = torch.backends.cudnn
before = cudnn.allow_tf32, cudnn.benchmark
with cuda_machine.settings(tf32=True):
    print(torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark)
print(before == (cudnn.allow_tf32, cudnn.benchmark))
"""


def test_settings_of_a_gpu_are_put_back():
    """In a process of its own, since torch's own tests forbid to change them for good."""
    ended = subprocess.run(
        [sys.executable, "-c", SETTINGS], capture_output=True, text=True, cwd="/"
    )
    assert ended.stdout.split() == ["True"] * 4, ended.stderr


@needs_gpu
@pytest.mark.parametrize("operator", SHAPES)
def test_operators_are_timed_on_cuda(operator, capsys):
    shape = ["--shape", SHAPES[operator], "--seconds", "1e-3"]
    assert cli.main([operator, "--device", "cuda", *shape]) == 0
    printed = capsys.readouterr().out
    for word in ("bwd", "of copy", "fwd+bwd"):
        assert word in printed


@needs_gpu
@pytest.mark.parametrize("how", ["float32", "float32 --tf32", "bfloat16", "float64"])
@pytest.mark.parametrize("operator", PRODUCTS)
def test_products_are_verified_and_timed_on_cuda(operator, how, capsys):
    arguments = f"{operator} --device cuda --seconds 1e-3 --dtype {how} --shape"
    assert cli.main([*arguments.split(), PRODUCTS[operator]]) == 0
    assert "fwd+bwd" in capsys.readouterr().out
