"""What the benchmark says of memory: what counts, what it refuses, and how it fails."""

import json
import math
from types import SimpleNamespace

import pytest
import torch

import torchconv
from torchconv.bench import footprint, memory, resident
from torchconv.bench.child import Child, ChildError
from torchconv.bench.cli import main
from torchconv.bench.memory_report import NO_PEAK, NO_RESET

has_proc = pytest.mark.skipif(resident.peak() is None, reason="no /proc/self/status with VmHWM")


def bench(*arguments):
    return main(["memory", *map(str, arguments)])


@pytest.fixture
def here(monkeypatch):
    """Measures in this process, without the seconds that another one takes to import torch."""

    def ask(request):
        return json.loads(json.dumps(footprint._answer(request)))

    monkeypatch.setattr(memory, "_ask", ask)


LENET = ("--table", "lenet", "--batch", 2, "--layout", "contiguous")


# ---- a run -------------------------------------------------------------------------------------


def test_run_from_end_to_end(tmp_path, capsys):
    saved, plot, page = (tmp_path / name for name in ("saved.json", "bars.png", "page.md"))
    page.write_text("# Mine\n")
    outputs = ("--save", saved, "--plot", plot, "--markdown", page, "--title", "T")
    assert bench(*LENET, "--batch", 8, "--threads", 1, *outputs) == 0
    printed = capsys.readouterr().out
    for word in ("net/lenet", "N=8", "saved", "step", "peak", "native/fused", "geometric mean"):
        assert word in printed
    content = json.loads(saved.read_text())
    assert content["options"] == {"dtype": "float32", "layouts": ["contiguous"], "threads": 1}
    (row,) = content["rows"]
    assert not row["failures"]
    native, ours, fused = (row["footprints"][side] for side in ("native", "ours", "fused"))
    assert fused["saved"] < ours["saved"] < native["saved"]
    if resident.peak() is not None:
        for found in (native, ours, fused):
            assert 10e6 < found["before"] < found["peak"] < 10e9
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert text.startswith("# Mine\n\n<!-- torchconv.bench begin: T -->\n## T\n")
    assert "python -m torchconv.bench memory --table lenet" in text


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_fused_saves_less_than_ours_and_ours_less_than_native(dtype, here):
    options = memory.MemoryOptions(dtype, [], torch.get_num_threads())
    for layout in ("contiguous", "channels_last"):
        row = memory.measure_memory("lenet", 2, layout, options)
        assert not row.failure
        assert row.ratio("saved", "fused") > row.ratio("saved", "ours") > 1


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_fused_vgg_16_saves_little_more_than_half(layout, here):
    options = memory.MemoryOptions("float32", [], torch.get_num_threads())
    row = memory.measure_memory("vgg_16", 2, layout, options)
    assert not row.failure
    assert row.bytes("saved", "fused") <= 0.55 * row.bytes("saved", "native")


def test_rows_are_chosen(capsys, monkeypatch):
    asked = []

    def ask(request):
        asked.append((request["name"], request["batch"], request["layout"], request["side"]))
        return {"loss": 1.0, "saved": 1, "before": 2, "peak": 3, "reset": True}

    monkeypatch.setattr(memory, "_ask", ask)
    assert bench() == 0
    assert len(asked) == 3 * 2 * 3
    assert {(name, batch) for name, batch, *_ in asked} == {
        ("lenet", 64),
        ("alexnet", 8),
        ("vgg_16", 4),
    }
    asked.clear()
    assert bench("--table", "all", "--batch", "1,3", "--filter", "resnet_18 N=3") == 0
    assert {one[:2] for one in asked} == {("resnet_18", 3)}
    assert {one[2] for one in asked} == {"contiguous", "channels_last"}
    assert bench("--table", "nothing") == 2
    assert bench("--filter", "nothing") == 2
    for option in ("--seconds", "--compare", "--device"):  # which would mean nothing
        assert bench(option, 1) == 2
        assert f"unrecognized arguments: {option}" in capsys.readouterr().err


def test_an_interruption_keeps_finished_rows(here, monkeypatch, tmp_path, capsys):
    ask, asked = memory._ask, []

    def interrupted(request):
        asked.append(request)
        if len(asked) > 3:  # a request for each side
            raise KeyboardInterrupt
        return ask(request)

    monkeypatch.setattr(memory, "_ask", interrupted)
    path = tmp_path / "saved.json"
    assert bench("--table", "lenet", "--batch", "2,3", "--save", path) == 1
    assert len(json.loads(path.read_text())["rows"]) == 1
    out, error = capsys.readouterr()
    assert "interrupted: the last rows are missing" in out
    assert "Traceback" not in error


# ---- what counts -------------------------------------------------------------------------------


def saved(loss, *parameters):
    network = SimpleNamespace(parameters=lambda: parameters, buffers=lambda: ())
    return footprint.saved_bytes(SimpleNamespace(network=network, loss=loss))


def test_saved_bytes():
    weight = torch.randn(3, 4, requires_grad=True)
    x = torch.randn(5, 3)
    assert saved(lambda: x @ weight, weight) == 5 * 3 * 4
    assert saved(lambda: x @ weight) == 5 * 3 * 4  # weight is saved only for a gradient of x
    assert saved(lambda: (x @ weight).sum() + (x @ weight.double().float()).sum(), weight) == 60
    whole = torch.randn(100, 3)
    assert saved(lambda: whole[:5] @ weight, weight) == 100 * 3 * 4  # the whole storage stays
    wanted = x.clone().requires_grad_()
    assert saved(lambda: wanted @ weight.t().t(), weight) == 60  # a view of a parameter is not new
    assert saved(lambda: wanted @ (2 * weight), weight) == 60 + 48
    with torch.no_grad():
        assert saved(lambda: x @ weight) == 0


@has_proc
def test_the_peak_is_read_and_reset():
    large = torch.ones(16 << 20)
    with_large = resident.peak()
    del large
    # The allocator keeps it where it had taken it out of a larger piece that others gave back.
    resident.return_free_memory()
    if not resident.reset_peak():
        pytest.skip("the peak cannot be reset here")
    assert resident.peak() < with_large - (32 << 20)
    before = resident.now()
    large = torch.ones(16 << 20)
    assert resident.peak() - before > 60 << 20
    del large
    resident.return_free_memory()
    assert resident.now() < resident.peak() - (32 << 20)


# ---- what goes wrong ---------------------------------------------------------------------------


def test_without_proc_there_is_no_peak(tmp_path, monkeypatch, capsys, here):
    monkeypatch.setattr(resident, "_STATUS", tmp_path / "none")
    plot, file = tmp_path / "bars.png", tmp_path / "saved.json"
    assert bench(*LENET, "--plot", plot, "--save", file) == 0
    assert NO_PEAK in capsys.readouterr().out
    assert plot.exists()
    (row,) = json.loads(file.read_text())["rows"]
    assert row["footprints"]["native"]["peak"] is None
    assert row["footprints"]["native"]["saved"] > 0


@has_proc
def test_a_peak_that_cannot_be_reset_is_said_to_be_another(tmp_path, monkeypatch, capsys, here):
    monkeypatch.setattr(resident, "_CLEAR", tmp_path)  # a folder, which nobody can write
    assert bench(*LENET) == 0
    assert NO_RESET in capsys.readouterr().out


def test_wrong_results_fail(tmp_path, monkeypatch, capsys, here):
    monkeypatch.setattr(torchconv.nn.ReLU, "forward", lambda self, x: x * math.nan)
    file = tmp_path / "saved.json"
    assert bench(*LENET, "--save", file) == 1
    printed = capsys.readouterr().out
    assert "FAILED net/lenet (N=2, NCHW), ours: its first loss is nan instead of" in printed
    assert json.loads(file.read_text())["rows"][0]["footprints"]["ours"]["loss"] is None


def test_refusals_are_failures(monkeypatch, capsys, here):
    def refuse(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore")

    monkeypatch.setattr(torchconv.nn.Conv2d, "forward", refuse)
    assert bench(*LENET) == 1
    sentence = "ours: RuntimeError: DefaultCPUAllocator: can't allocate memory\n"
    assert sentence in capsys.readouterr().out


def test_files_that_cannot_be_written_lose_nothing_else(tmp_path, capsys, here):
    full, plot, page = (tmp_path / name for name in ("full.json", "bars.png", "page.md"))
    full.symlink_to("/dev/full")
    assert bench(*LENET, "--save", full, "--plot", plot, "--markdown", page) == 1
    out, error = capsys.readouterr()
    assert "geometric mean" in out
    assert error.startswith(f"--save: expected a file that can be written, but got '{full}' (")
    assert error.count("\n") == 1
    assert plot.exists()
    assert page.exists()


ENDINGS = {
    "os.kill(os.getpid(), 9)": "its process was killed, as the system does when memory runs out",
    "os.kill(os.getpid(), 15)": "its process was ended by SIGTERM",
    "raise ValueError('no')": "its process ended with code 1: ValueError: no",
    "sys.exit(3)": "its process ended with code 3: without a word",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_child_that_ends_says_how(ending, tmp_path, monkeypatch):
    (tmp_path / "dying.py").write_text(f"import os, sys\ndef serve():\n    {ending}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with Child("dying", {}) as child, pytest.raises(ChildError) as caught:
        child.ask({})
    assert str(caught.value) == ENDINGS[ending]


def test_a_child_that_ends_is_a_failure(tmp_path, monkeypatch, capfd):
    (tmp_path / "dying.py").write_text("import os\ndef serve():\n    os.kill(os.getpid(), 9)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(footprint, "__name__", "dying")
    assert bench(*LENET) == 1
    captured = capfd.readouterr()
    for side in memory.SIDES:
        assert f"FAILED net/lenet (N=2, NCHW), {side}: its process was killed" in captured.out
    assert "Traceback" not in captured.out + captured.err


def test_children_get_modules_and_environment_of_this_process(tmp_path, monkeypatch):
    code = """
        import json, os, sys, torchconv
        def serve():
            for line in sys.stdin:
                found = [torchconv.__file__, os.environ["SOME"], json.loads(line)]
                print(json.dumps(found), flush=True)
    """
    (tmp_path / "mirror.py").write_text("\n".join(line[8:] for line in code.splitlines()))
    monkeypatch.syspath_prepend(tmp_path)
    with Child("mirror", {"SOME": "thing"}) as child:
        for request in ({"a": 1}, {"b": None}):
            assert child.ask(request) == [torchconv.__file__, "thing", request]
