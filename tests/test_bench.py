"""The benchmark, on tiny shapes: what it reads, refuses, verifies and writes; never how fast."""

import importlib
import json
import math
import re
import subprocess
from dataclasses import asdict

import pytest
import torch

import torchconv
from torchconv import _C
from torchconv.bench import huge_pages, machine, training
from torchconv.bench.calls import Options
from torchconv.bench.cases import CASES
from torchconv.bench.cli import main
from torchconv.bench.errors import UsageError
from torchconv.bench.peers import ENGINES, check_engines, engine_call
from torchconv.bench.results import Row, Timing, geometric_mean, worst
from torchconv.bench.tables import load, rows, table_names
from torchconv.bench.timing import Times, interleave
from torchconv.bench.verify import affordable, verify

SHAPES = {
    "conv": "N=2,C=6,H=7,W=5,K=4,R=3,S=2,stride=2x1,pad=1,groups=2",
    "linear": "N=3,in=5,out=4",
    "matmul": "B=2,M=3,K=4,N=5",
    "pool": "N=2,C=3,H=6,R=3,stride=2,pad=1",
    "sigmoid": "size=1000",
    "relu": "size=1000",
    "block": "N=2,C=6,H=11,W=9,K=4,R=3,S=2,stride=2x1,pad=1,groups=2,pool=3,pool_stride=1",
}
DTYPES = ["float32", "float64", "bfloat16", "float16"]
operators = pytest.mark.parametrize("operator", SHAPES)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What takes seconds, whatever the shape: the peak, and another process that imports torch."""

    def times(_, case, options):
        request = {"operator": case.operator, "shape": str(case), "options": asdict(options)}
        timings = huge_pages._answer(json.loads(json.dumps(request)))
        return [Timing(**{**t, "times": Times(**t["times"])}) for t in timings]

    monkeypatch.setattr(machine, "_PEAK_SECONDS", 1e-3)
    monkeypatch.setattr(huge_pages.NativeWithHugePages, "times", times)


def bench(*arguments):
    return main([*map(str, arguments), "--seconds", "1e-4"])


def row(ratio, seconds=1e-3, label="a"):
    def timing(side, median):
        return Timing("forward", "contiguous", side, Times(median, median, median, 5))

    timings = [timing("ours", seconds / ratio), timing("native", seconds)]
    return Row(label, "conv", label, "float32", timings=timings)


# ---- tables and shapes -------------------------------------------------------------------------


@operators
def test_tables_hold_shapes(operator):
    entries = load(operator)  # refuses what does not divide, or gives no output
    assert len(entries) == len({(e.label, str(e.case)) for e in entries}) > 5
    for entry in entries:
        assert CASES[operator].parse(str(entry.case)) == entry.case
        assert all(size > 0 for size in entry.case.native(*meta(entry.case)).shape)


def meta(case):
    """The arguments of a case without data; tensors() of the largest one would fill a memory."""
    with torch.device("meta"):
        return case.tensors()


def test_tables_are_the_published_ones():
    published = {"perf_basic", "alexnet", "vgg_16", "resnet_50", "mobilenet_v1", "lenet", "unet"}
    assert published <= set(table_names("conv"))
    depthwise = [e.case for e in load("conv") if e.layer.endswith("/dw")]
    assert depthwise
    assert all(case.groups == case.in_channels for case in depthwise)


def test_default_batches_are_4_and_8_or_the_own_one():
    batches = {label: [] for label, _ in rows("conv", ["perf_basic"], [])}
    for label, case in rows("conv", ["perf_basic"], []):
        batches[label].append(case.batch)
    assert batches["perf_basic/res2a_branch2b*3"] == [4, 8]
    assert batches["perf_basic/conv5*5"] == [1]
    assert {case.batch for _, case in rows("conv", ["all"], [3])} == {3}


@operators
def test_shapes_are_read_and_written(operator):
    case = CASES[operator].parse(SHAPES[operator])
    assert str(case) == SHAPES[operator]
    assert case.native(*case.tensors()).shape == case.ours(*case.tensors()).shape


@pytest.mark.parametrize(
    ("operator", "text", "message"),
    [
        ("conv", "C=3,H=8,K=4,Q=3", "--shape: expected KEY=NUMBER, .* but got 'Q=3' in"),
        ("conv", "C=3,C=3", "each key once .* but got 'C=3'"),
        ("conv", "C=3,H=8,K=4", "expected R to be a number from 1 on, but got nothing in"),
        ("conv", "C=3,H=8,K=4,R=0", "expected R to be a number from 1 on, but got '0'"),
        ("conv", "C=3,H=8,K=4,R=", "expected R to be a number from 1 on, but got ''"),
        ("conv", "C=3,H=8,K=4,R=3,stride=0x1", "stride to be a number or HEIGHTxWIDTH from 1 on"),
        ("conv", "C=3,H=8,K=4,R=9", r"expected a positive output size, but got \(0, 0\)"),
        ("conv", "C=3,H=8,K=4,R=1,groups=2", "groups to divide C and K, but got groups=2, C=3"),
        ("pool", "C=3,H=8,R=2,pad=2", "expected pad of at most half the window, but got"),
        ("sigmoid", "many", "expected KEY=NUMBER, .* but got 'many'"),
    ],
)
def test_bad_shapes_are_refused(operator, text, message, capsys):
    with pytest.raises(UsageError, match=message):
        CASES[operator].parse(text)
    assert bench(operator, "--shape", text) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("conv --table nothing", "--table: expected all or one of quick, .* but got 'nothing'"),
        ("net --table nothing", "--table: expected all or one of lenet, .* but got 'nothing'"),
        ("conv --filter nothing", "--filter: expected a part of some row, but got 'nothing'"),
        ("conv --threads 0", "--threads: expected 1 to .* but got 0"),
        ("conv --seconds 0", "--seconds: expected more than 0, but got 0.0"),
        ("conv --batch 0", "argument --batch: expected whole numbers from 1 on, but got '0'"),
        ("conv --dtype int8", "argument --dtype: invalid choice: 'int8'"),
        ("linear --layout channels_last", "argument --layout: invalid choice: 'channels_last'"),
        ("conv --shape C=1,H=1,K=1,R=1 --table lenet", "expected a shape or --table, but got both"),
        ("conv --peers nothing", "--peers: expected some of onnxruntime, .* but got 'nothing'"),
        ("conv --peers ncnn --dtype float64", "--peers: expected float32 on the CPU, but got"),
        ("conv --plot picture.doc", "--plot: expected a name that ends in .png, .* but got"),
        ("conv --save no/such/folder.json", "--save: expected a file that can be written, but got"),
        ("conv --compare no.json", "--compare: expected a file that --save has written, but got"),
        ("", "the following arguments are required: OPERATOR"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, capsys):
    assert main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error


# ---- a run -------------------------------------------------------------------------------------


@operators
def test_run_from_end_to_end(operator, tmp_path, capsys):
    def run(*more):
        return bench(operator, "--shape", SHAPES[operator], *more)

    saved, plot, page = (tmp_path / name for name in ("old.json", "ratios.png", "page.md"))
    page.write_text("# Mine\n")
    threads = torch.get_num_threads()
    assert run("--save", saved, "--threads", 1) == 0
    assert run("--compare", saved, "--plot", plot, "--markdown", page, "--title", "T") == 0
    assert torch.get_num_threads() == threads
    printed = capsys.readouterr().out
    for word in ("geometric mean", "worst", SHAPES[operator], "fwd+bwd", "old/new"):
        assert word in printed
    assert "--compare: threads was 1 then" in printed or threads == 1
    assert ("native+THP" in printed) == CASES[operator].memory_bound
    assert ("fusion has the geometric mean" in printed) == (operator == "block")
    content = json.loads(saved.read_text())
    (found,) = content["rows"]
    assert content["machine"]["torch"] == torch.__version__
    assert {t["step"] for t in found["timings"]} == {"forward", "training"}
    assert {t["layout"] for t in found["timings"]} == set(CASES[operator].layouts)
    for timing in found["timings"]:
        times = timing["times"]
        assert 0 < times["lower"] <= times["median"] <= times["upper"]
        assert times["repetitions"] >= 5
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert text.startswith("# Mine\n\n<!-- torchconv.bench begin: T -->\n## T\n")
    assert f"python -m torchconv.bench {operator} --shape" in text
    assert not list(tmp_path.glob("tmp*"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_right_results_pass_in_every_dtype(dtype):
    for operator, text in SHAPES.items():
        case = CASES[operator].parse(text)
        verdict = verify(case, getattr(torch, dtype), "cpu", list(case.layouts))
        assert not verdict.failure
        # Where rounding decides which elements get a gradient, verify() alone has a bound.
        if not case.selects:
            eps = torch.finfo(getattr(torch, dtype)).eps
            assert verdict.errors["training"]["ours"] < 8 * eps


@pytest.mark.parametrize(
    ("operator", "large", "part"),
    [
        ("conv", "N=64,C=64,H=56,K=64,R=3,pad=1", "N=17,C=64,H=56,K=64,R=3,pad=1"),
        ("conv", "N=8,C=512,H=192,K=512,R=3", "N=2,C=512,H=192,K=512,R=3"),
        ("conv", "C=512,H=192,K=512,R=3", "C=512,H=192,K=512,R=3"),
        ("matmul", "M=4096", "M=4096"),
        ("pool", "N=64,C=64,H=112,R=2", "N=15,C=64,H=112,R=2"),
        ("sigmoid", "size=64000000", "size=8000000"),
    ],
)
def test_large_shapes_are_verified_in_part(operator, large, part):
    assert str(affordable(CASES[operator].parse(large))) == part


WRONG = {
    "conv": "conv2d",
    "linear": "linear",
    "matmul": "matmul",
    "pool": "max_pool2d",
    "block": "conv2d_act_pool",
}
SLIGHTLY = {
    "result": lambda out, x: out + 1e-4 * out.detach().abs().max(),
    "gradient": lambda out, x: out + (x - x.detach()).sum(),
    "nan": lambda out, x: out * torch.nan,
    "infinity": lambda out, x: out + torch.inf,
    "shape": lambda out, x: out[:1],
}


@pytest.mark.parametrize("operator", SHAPES)
@pytest.mark.parametrize("fault", SLIGHTLY)
def test_wrong_results_fail(operator, fault, monkeypatch, capsys, tmp_path):
    name = WRONG.get(operator, operator)
    right = getattr(torchconv, name)
    monkeypatch.setattr(torchconv, name, lambda x, *more: SLIGHTLY[fault](right(x, *more), x))
    saved = tmp_path / "now.json"
    assert bench(operator, "--shape", SHAPES[operator], "--save", saved) == 1
    printed = capsys.readouterr().out
    assert "FAILED" in printed
    (found,) = json.loads(saved.read_text())["rows"]
    assert found["failure"]
    assert not found["timings"]
    assert bench(operator, "--shape", SHAPES[operator], "--compare", saved) == 1


def test_refusals_of_an_operator_are_failures(monkeypatch, capsys):
    def refuse(*_):
        raise RuntimeError("linear: expected a CPU, but got none\nmore")

    monkeypatch.setattr(torchconv, "linear", refuse)
    assert bench("linear", "--shape", SHAPES["linear"]) == 1
    assert "linear: expected a CPU, but got none\n" in capsys.readouterr().out


def test_networks(monkeypatch, capsys):
    assert bench("net", "--table", "lenet", "--batch", "2", "--layout", "contiguous") == 0
    assert "net/lenet" in capsys.readouterr().out
    monkeypatch.setattr(torchconv.nn.ReLU, "forward", lambda self, x: x.abs())
    assert bench("net", "--table", "lenet", "--batch", "2") == 1
    assert "FAILED net/lenet (N=2): loss, contiguous" in capsys.readouterr().out


def test_every_network_is_the_same_on_both_sides():
    with torch.device("meta"):
        for network in training.NETWORKS.values():
            ours, native = (network.build(nn) for nn in (torchconv.nn, torch.nn))
            assert ours.state_dict().keys() == native.state_dict().keys()
            assert ours(torch.empty(2, *network.image)).shape == (2, network.classes)


# ---- numbers and files -------------------------------------------------------------------------


def test_geometric_mean_and_worst_row():
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1)
    assert geometric_mean([1.0, 2.0, 4.0, math.nan]) == pytest.approx(2)
    assert math.isnan(geometric_mean([]))
    short, long = row(0.5, seconds=1e-4), row(0.8, seconds=1e-3)
    assert worst([long, short], "forward") is short
    assert worst([long, short], "forward", short=False) is long
    assert worst([], "forward") is None


def test_best_takes_the_fastest_layout_of_each_side():
    one = row(2.0, seconds=4.0)  # ours 2, native 4
    times = [Times(m, m, m, 5) for m in (8.0, 3.0)]
    for side, time in zip(("ours", "native"), times, strict=True):
        one.timings.append(Timing("forward", "channels_last", side, time))
    assert one.ratio("forward") == 3 / 2
    assert one.ratio("forward", "contiguous") == 4 / 2
    assert one.ratio("forward", "channels_last") == 3 / 8
    assert math.isnan(one.ratio("training"))


def test_calls_take_turns():
    order = []
    found = interleave({name: lambda n=name: order.append(n) for name in "ab"}, 1e-6)
    assert order[4:] == list("ab" * 5)
    assert found["a"].repetitions == 5


def test_markdown_replaces_its_own_section_only(tmp_path):
    page = tmp_path / "page.md"
    for title, size in (("one", 10), ("two", 20), ("one", 30)):
        shape = ("--shape", f"M={size}")
        assert bench("matmul", *shape, "--markdown", page, "--title", title) == 0
    text = page.read_text()
    assert text.index("## one") < text.index("## two")
    assert "M=10" not in text
    assert "M=30" in text
    assert text.count("torchconv.bench begin") == text.count("torchconv.bench end") == 2


COMPARED = {
    "none": ("M=4,K=3,N=2", [], "'{}' has times for none of the 1 rows measured here"),
    "other dtype": ("M=2,K=3,N=4", ["--dtype", "float64"], "'{}' has times for none of the 1 rows"),
    "some": ("M=2,K=3,N=4", ["--shape", "M=5"], "'{}' has times for 1 of the 2 rows measured here"),
    "all": ("M=2,K=3,N=4", [], ""),
}


@pytest.mark.parametrize(("shape", "more", "sentence"), COMPARED.values(), ids=COMPARED)
def test_rows_without_old_times_are_counted(shape, more, sentence, tmp_path, capsys):
    saved = tmp_path / "old.json"
    assert bench("matmul", "--shape", "M=2,K=3,N=4", "--shape", "M=7", "--save", saved) == 0
    capsys.readouterr()
    assert bench("matmul", "--shape", shape, *more, "--compare", saved) == 0
    printed = capsys.readouterr().out
    assert ("--compare:" in printed) == bool(sentence)
    assert sentence.format(saved) in printed


def test_rows_in_another_layout_have_no_old_times(tmp_path, capsys):
    saved, shape = tmp_path / "old.json", ("--shape", SHAPES["conv"], "--layout")
    assert bench("conv", *shape, "contiguous", "--save", saved) == 0
    assert bench("conv", *shape, "channels_last", "--compare", saved) == 0
    assert "has times for none of the 1 rows measured here" in capsys.readouterr().out


def test_absent_extra_is_named(monkeypatch, capsys):
    right = importlib.import_module

    def without(name, *more):
        if name in ("tabulate", "tqdm"):
            raise ModuleNotFoundError(name)
        return right(name, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    assert bench("matmul", "--shape", "M=2") == 2
    error = capsys.readouterr().err
    assert "expected tqdm and tabulate to be installed" in error
    assert "pip install 'torchconv[bench]'" in error


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("operator", [name for name in SHAPES if name not in ("relu", "block")])
def test_engines_compute_the_same(name, operator):
    for package in ENGINES[name][0]:
        pytest.importorskip(package)
    case = CASES[operator].parse(SHAPES[operator])
    call = engine_call(name, case, 1)
    assert call().shape == case.native(*case.tensors()).shape


def test_absent_engine_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--peers: .* found no ncnn; run `python"):
        check_engines(["ncnn"])


def test_a_child_times_torch_with_huge_pages(monkeypatch):
    monkeypatch.undo()
    case = CASES["sigmoid"].parse(SHAPES["sigmoid"])
    environments = []

    class Process(subprocess.Popen):
        def __init__(self, *arguments, env, **options):
            environments.append(env)
            super().__init__(*arguments, env=env, **options)

    monkeypatch.setattr(subprocess, "Popen", Process)
    with huge_pages.NativeWithHugePages() as child:
        found = child.times(case, Options("float32", ["contiguous"], "cpu", 1, 1e-4))
        found += child.times(case, Options("float64", ["contiguous"], "cpu", 1, 1e-4))
    assert [env["THP_MEM_ALLOC_ENABLE"] for env in environments] == ["1"]
    assert [t.step for t in found] == ["forward", "training"] * 2
    assert {t.side for t in found} == {"native+THP"}


# ---- the yardstick -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_peak_counts(dtype, isa):
    assert 0.01 < _C.fma_peak(dtype, 1, 1e-3) < 1e5


def test_fma_peak_refuses():
    most = torch.get_num_threads()
    for arguments, message in (
        (("int8", 1, 0.1), "expected dtype float32, .* but got 'int8'"),
        (("float32", most + 1, 0.1), rf"threads from 1 to .* == {most}, but got {most + 1}"),
        (("float32", 1, math.nan), "expected seconds > 0, but got nan"),
    ):
        with pytest.raises(ValueError, match=message):
            _C.fma_peak(*arguments)
