"""The report on a GPU: what it makes of tests, times and sanitizer; mostly where there is none."""

import json
import math
import os
import re
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from torchconv import backends
from torchconv.bench import cli, cuda_machine
from torchconv.bench.arguments import parser
from torchconv.bench.calls import Options
from torchconv.bench.cases import CASES
from torchconv.bench.gpu import command, goals, process, sanitized, sanitizer, shapes, suite, times
from torchconv.bench.gpu.goals import Goal, outcome
from torchconv.bench.gpu.report import GpuOptions, GpuReport
from torchconv.bench.gpu.sanitizer import Check
from torchconv.bench.gpu.suite import Suite
from torchconv.bench.gpu.times import Asked, Table
from torchconv.bench.report import Report
from torchconv.bench.results import Row, Timing
from torchconv.bench.tables import load
from torchconv.bench.timing import Times

ALL = list(times.NAMES.values())
UNBOUND = ("sigmoid", "relu")  # whose shapes are sizes alone
WITH_KERNELS = ["max_pool2d", "relu", "sigmoid", "sigmoid_backward"]
MACHINE = {
    "cpu": "C", "cores": 1, "isa": "i", "threads": 1, "torch": "t", "torchconv": "0", "python": "3",
    "compiler": "c", "gpu": "G 100", "cuda": "13.0", "driver": "580", "l2_mib": 50,
}  # fmt: skip


def timing(step, side, seconds, layout="contiguous"):
    return Timing(step, layout, side, Times(seconds, seconds, seconds, 5))


def row(ours, native=1e-3, operator="sigmoid", step="forward", layout="contiguous"):
    timings = [timing(step, "ours", ours, layout), timing(step, "native", native, layout)]
    return Row("shape", operator, f"ours={ours}", "float32", True, timings=timings)


# ---- goals -------------------------------------------------------------------------------------


GOALS = {(goal.name, goal.least) for goal in goals.GOALS}


def table(*found, operator="sigmoid", copy=1000.0, tf32=False):
    return Table(operator, "float32", tf32, f"{operator} float32", list(found), copy)


def test_goals():
    ratio = Goal("sigmoid", "float32", "forward", "ratio", 1.0)
    met = outcome(ratio, [table(row(0.5e-3), row(2e-3))])
    assert (met.figure, met.worst, met.where) == (pytest.approx(1), 0.5, "ours=0.002")
    assert met.verdict == "met"
    assert outcome(ratio, [table(row(1.004e-3))]).verdict == "met"  # as shown: 1.00
    assert outcome(ratio, [table(row(1.02e-3))]).verdict == "NOT MET"
    for nothing in ([], [table()], [table(row(1e-4), operator="relu")], [table(row(1), tf32=True)]):
        assert outcome(ratio, nothing).verdict == "not measured"
    one = row(1e-3)
    one.work["forward"] = 9e8
    copy = Goal("sigmoid", "float32", "forward", "copy", 0.88)
    assert outcome(copy, [table(one)]).figure == pytest.approx(0.9)
    assert outcome(copy, [table(one, copy=math.nan)]).verdict == "not measured"
    one.saved, other = {"ours": 1, "native": 4}, row(1e-3)
    other.saved = {"ours": 1, "native": 24}
    saved = Goal("sigmoid", "float32", "training", "saved", 5.0)
    assert outcome(saved, [table(one, other)]).verdict == "NOT MET"
    layout = Goal("sigmoid", "float32", "forward", "ratio", 1.0, "channels_last")
    assert outcome(layout, [table(row(1e-3))]).verdict == "not measured"
    assert outcome(layout, [table(row(1e-3, layout="channels_last"))]).verdict == "met"


def test_goals_of_tf32_and_of_depthwise_rows():
    depthwise, single = "C=8,H=9,K=8,R=3,groups=8", "C=1,H=9,K=8,R=3"
    times_of = {depthwise: 0.5e-3, "C=8,H=9,K=8,R=3,groups=4": 1e-3, single: 4e-3}
    found = [replace(row(ours, operator="conv"), shape=shape) for shape, ours in times_of.items()]
    strict, tf32 = (table(*found, operator="conv", tf32=tf32) for tf32 in (False, True))
    whole = Goal("conv", "float32", "forward", "ratio", 0.8)
    for goal, tables, figure, where in (
        (whole, [strict], 0.5 ** (1 / 3), single),
        (replace(whole, depthwise=True), [strict, tf32], 2, depthwise),
        (replace(whole, tf32=True), [strict], math.nan, ""),
        (replace(whole, tf32=True), [tf32], 0.5 ** (1 / 3), single),
    ):
        one = outcome(goal, tables)
        assert (one.figure, one.where) == (pytest.approx(figure, nan_ok=True), where)


def test_goals_are_those_of_tables_that_are_measured():
    measured = {(one.operator, one.dtype, one.tf32) for one in times.asked(ALL)}
    assert measured >= {(goal.operator, goal.dtype, goal.tf32) for goal in goals.GOALS}
    assert len(GOALS) == len(goals.GOALS) == len({name for name, _ in GOALS})


@pytest.mark.parametrize(
    ("names", "least"),
    [
        ("conv {} bfloat16 NHWC", 0.8), ("conv {} bfloat16 NCHW", 1.1),
        ("conv {} float32 TF32", 0.8), ("conv {} float32", 1.0), ("conv {} float64", 1.0),
        ("conv depthwise {} bfloat16", 1.3), ("conv depthwise {} float32", 1.3),
        ("linear {} bfloat16", 0.85), ("linear {} float32 TF32", 0.8),
        ("matmul {} bfloat16", 0.85), ("matmul {} float32 TF32", 0.8),
    ],
)  # fmt: skip
def test_goals_of_products(names, least):
    wanted = {(f"{names.format(step)}, native/ours", least) for step in ("fwd", "fwd+bwd")}
    assert wanted <= GOALS


def test_tables_of_products():
    assert times.absent(WITH_KERNELS) == ["conv2d", "linear", "matmul", "conv2d_act_pool"]
    assert not times.asked([])
    found = {one.name: one for one in times.asked(ALL[3:])}
    assert list(found) == [
        "conv float32", "conv float32 TF32", "conv bfloat16", "conv float64",
        "linear float32", "linear float32 TF32", "linear bfloat16",
        "matmul float32", "matmul float32 TF32", "matmul bfloat16",
        "block float32 TF32", "block bfloat16",
    ]  # fmt: skip
    assert all(("--tf32" in one.command("file")) == one.tf32 for one in found.values())


@pytest.mark.parametrize("one", times.asked(ALL), ids=lambda one: one.name)
def test_shapes_are_those_of_published_tables(one):
    cases = [CASES[one.operator].parse(text) for text in shapes.shapes(one.operator, one.dtype)]
    assert len(set(cases)) == len(cases)
    assert {*cases} <= {entry.case for entry in load(one.operator)} or one.operator in UNBOUND
    assert one.operator != "conv" or any(case.depthwise for case in cases)
    assert one.command("file").count("--shape") == len(cases)
    parser().parse_args(one.command("file")[3:])


# ---- tests and sanitizer -----------------------------------------------------------------------

JUNIT = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">
<testcase classname="tests.test_relu" name="test_a[cuda]" time="0.1" />
<testcase classname="tests.test_relu" name="test_b[cuda]"><skipped message="no" /></testcase>
<testcase classname="tests.test_relu" name="test_c[cuda]"><failure message="AssertionError: assert
 1">def f():
&gt;   assert 1 == 2
E   assert 1 == 2
E    +  where
</failure></testcase>
<testcase classname="" name="tests.test_opinfo"><error message="collection failure">x.py:1: in y
E   ModuleNotFoundError: No module named 'expecttest'</error></testcase>
<testcase classname="tests.test_relu" name="test_d[cuda]"><error message="failed on setup with no
thing" /></testcase>
</testsuite></testsuites>"""


def test_junit_is_read():
    found = suite.parse(JUNIT)
    assert (found.passed, found.failed, found.skipped) == (1, 2, 1)
    assert found.failures[0] == "tests.test_relu::test_c[cuda]: assert 1 == 2"
    assert found.failures[1].startswith("tests.test_relu::test_d[cuda]: failed on setup")
    assert found.absent == ["tests.test_opinfo: ModuleNotFoundError: No module named 'expecttest'"]
    assert found.bad
    assert "1 passed, 2 failed, 1 skipped" in found.lines()[0]


def test_tests_of_a_folder_are_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "expected a folder tests" in suite.run_tests(60).problem
    (tmp_path / "tests").mkdir()
    file = tmp_path / "tests" / "test_x.py"
    file.write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('device', ['cpu', 'cuda', 'cuda_on_host'])\n"
        "def test_x(device): assert device != 'cuda'\n"
    )
    found = suite.run_tests(60)
    assert (found.passed, found.failed, found.problem) == (0, 1, "")
    assert found.failures == ["tests.test_x::test_x[cuda]: AssertionError: assert 'cuda' != 'cuda'"]
    file.write_text("import os\ndef test_cuda(): os.abort()\n")
    monkeypatch.setattr(suite, "_WORKERS", 1)
    found = suite.run_tests(60)
    assert found.bad


@pytest.mark.parametrize(
    ("tool", "code", "output", "errors", "complaints"),
    [
        ("memcheck", 0, "9 results\n========= ERROR SUMMARY: 0 errors\n", 0, 0),
        (
            "memcheck", 86,
            "========= Invalid __global__ read of size 4 bytes\n=========     at f\n"
            "========= ERROR SUMMARY: 1 error\n", 1, 1,
        ),
        (
            "racecheck", 0,
            "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n", 0, 0,
        ),
        (
            "racecheck", 86,
            "========= Error: Race reported between Write access\n"
            "========= RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)\n", 2, 1,
        ),
    ],
)  # fmt: skip
def test_sanitizer_is_read(tool, code, output, errors, complaints):
    found = sanitizer.parse(tool, process.Ended(code, 1.0, output))
    assert (found.errors, len(found.complaints), found.problem) == (errors, complaints, "")
    assert found.bad == bool(errors)


def test_sanitizer_that_does_not_come_to_its_end():
    for code, output, problem in (
        (1, "========= ERROR SUMMARY: 0 errors\nRuntimeError: x", "code 1: RuntimeError: x"),
        (0, "nothing", "code 0: nothing"),
    ):
        found = sanitizer.parse("memcheck", process.Ended(code, 9.0, output))
        assert problem in found.problem
        assert found.bad
    slow = sanitizer.parse("memcheck", process.Ended(None, 9.0, "========= "))
    assert not slow.bad
    assert "stopped after 9 s, its time limit; nothing was found until then" in slow.lines()[0]
    slow = sanitizer.parse("memcheck", process.Ended(None, 9.0, "========= Invalid read of size 4"))
    assert slow.lines()[1] == "memcheck: Invalid read of size 4"
    assert slow.bad
    refused = process.Ended(1, 1.0, "========= Error: Device not supported. Please refer")
    found = sanitizer.parse("memcheck", refused)
    assert not found.bad
    assert found.lines() == ["memcheck: compute-sanitizer does not support this machine"]


def test_sanitizer_may_be_absent(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    (found,) = sanitizer.run_sanitizer(1)
    assert found.lines() == ["sanitizer: compute-sanitizer was not found"]
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "compute-sanitizer"
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\nprint(sys.argv[1:], dict(os.environ))\n"
        "print('========= ERROR SUMMARY: 0 errors')\n"
    )
    program.chmod(0o755)
    checks = list(sanitizer.run_sanitizer(60))
    assert [check.tool for check in checks] == ["memcheck", "initcheck", "racecheck"]
    assert not any(check.bad for check in checks)


def test_everything_is_exercised():
    assert sanitized.SHAPES.keys() == times.NAMES.keys() == CASES.keys()
    assert sanitized.exercise(ALL, "cpu") > 500
    assert sanitized.exercise([], "cpu") == 0
    forced = {pair for _, _, choices in sanitized.FORCED for pair in choices.items()}
    wanted = {
        "tile": ("128x128", "128x64", "64x64"), "float32": ("tf32", "tf32x3", "fma"),
        "algorithm": ("product", "direct"),
    }  # fmt: skip
    assert forced == {(what, name) for what, names in wanted.items() for name in names}


# ---- processes and their time ------------------------------------------------------------------


def test_processes_that_hang_or_die():
    def python(code, limit=60.0):
        return process.run([sys.executable, "-c", code], limit)

    assert python("print('a')") == process.Ended(0, pytest.approx(1, abs=30), "a\n")
    assert python("import os; os.kill(os.getpid(), 11)").ending == "ended by SIGSEGV"
    assert python("raise ValueError('no')").ending == "ended with code 1: ValueError: no"
    begin = time.monotonic()
    hanging = python("import time; print('b', flush=True); time.sleep(99)", 1.0)
    assert hanging.ending == "stopped after 1 s, its time limit"
    assert hanging.output.startswith("b\n")
    assert "KeyboardInterrupt" in hanging.output  # it could have saved what it knew
    assert time.monotonic() - begin < 30


def test_processes_that_do_not_listen_are_killed(monkeypatch):
    monkeypatch.setattr(process, "_GRACE", 0.2)
    deaf = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(99)"
    ended = process.run([sys.executable, "-c", deaf], 1.0)
    assert ended.code is None
    assert ended.seconds < 30


def test_limits_pass_on_what_is_left():
    assert command.part_limit(["tests", "times", "sanitizer"], 100) == pytest.approx(30)
    assert command.part_limit(["times", "sanitizer"], 70) == pytest.approx(50)
    assert command.part_limit(["sanitizer"], 33) == pytest.approx(33)
    assert command.part_limit(["tests"], -1) == 0


def test_a_table_that_hangs_or_dies_leaves_the_others(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # away from the folder that holds an uncompiled torchconv
    commands = {
        "a": [sys.executable, "-c", "import os; os.abort()"],
        "b": [sys.executable, "-c", "import time; time.sleep(99)"],
    }

    class Broken(Asked):
        weight = property(lambda self: {"a": 4, "b": 1, "sigmoid": 9}[self.operator])

        def command(self, path):
            return commands.get(self.operator) or super().command(path)

    monkeypatch.setattr(times, "_DEVICE", "cpu")
    monkeypatch.setattr(times, "shapes", lambda *_: ["size=1000"])
    monkeypatch.setattr(times, "_SECONDS", 1e-4)
    tables = [Broken("a", "float32"), Broken("b", "float32"), Broken("sigmoid", "float32")]
    monkeypatch.setattr(process, "_GRACE", 1.0)
    dead, hung, whole = times.run_tables(tables, 40)
    assert dead.problem == "ended by SIGABRT"
    assert "time limit" in hung.problem
    assert not whole.problem
    assert whole.rows[0].shape == "size=1000"
    assert math.isnan(whole.copy)
    assert whole.means()["fwd"]


# ---- the report --------------------------------------------------------------------------------


@pytest.fixture
def found(monkeypatch):
    """What the parts find, without a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_machine, "gpu", lambda: {k: MACHINE[k] for k in ("gpu", "cuda")})
    monkeypatch.setattr(command, "machine", lambda *_: MACHINE)
    monkeypatch.setattr(backends, "cuda_operators", lambda: WITH_KERNELS, raising=False)
    parts = SimpleNamespace(tests=Suite(passed=7), tables=[table(row(1e-3))], checks=[Check("m")])
    monkeypatch.setattr(command, "run_tests", lambda limit: parts.tests)
    monkeypatch.setattr(command, "run_tables", lambda asked, limit: iter(parts.tables))
    monkeypatch.setattr(command, "run_sanitizer", lambda limit: iter(parts.checks))
    return parts


def test_report_from_end_to_end(found, tmp_path, capsys):
    file, page = tmp_path / "gpu.json", tmp_path / "page.md"
    assert cli.main(["gpu", "--save", str(file), "--markdown", str(page)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") < 90
    for text in ("G 100, CUDA 13.0, driver 580; ", "7 passed, 0 failed", "nothing failed"):
        assert text in printed
    for line in ("sigmoid fwd float32, native/ours +>= 1.00 +1.00 +1.00 +ours=0.001 +met",):
        assert re.search(line, printed), printed
    assert "no CUDA kernels: conv2d, linear, matmul, conv2d_act_pool" in printed
    content = json.loads(file.read_text())
    assert content["machine"]["driver"] == "580"
    assert content["tests"]["passed"] == 7
    assert content["goals"][0] == {
        "goal": "sigmoid fwd float32, native/ours", "least": 1.0, "figure": 1.0, "worst": 1.0,
        "where": "ours=0.001", "verdict": "met",
    }  # fmt: skip
    assert content["tables"][0]["rows"][0]["shape"] == "ours=0.001"
    text = page.read_text()
    assert text.startswith("<!-- torchconv.bench begin: gpu, G 100 -->\n## gpu, G 100\n")
    assert "| sigmoid fwd float32, native/ours " in text


def test_files_that_cannot_be_written_lose_nothing_else(found, tmp_path, capsys):
    full, page = tmp_path / "full.json", tmp_path / "page.md"
    full.symlink_to("/dev/full")
    assert cli.main(["gpu", "--save", str(full), "--markdown", str(page)]) == 1
    out, error = capsys.readouterr()
    assert "nothing failed" in out
    reason = "(OSError: [Errno 28] No space left on device)"
    sentence = f"--save: expected a file that can be written, but got '{full}' {reason}\n"
    assert error.endswith(sentence)
    assert error.count("--save") == 1
    assert page.exists()
    assert cli.main(["gpu", "--save", "/proc/gpu.json"]) == 2
    assert capsys.readouterr().err.startswith("--save: expected a file that can be written, but")


def test_streams_get_the_report_once(found, capfd):
    reader, writer = os.pipe()
    assert cli.main(["gpu", "--save", f"/dev/fd/{writer}"]) == 0
    os.close(writer)
    with os.fdopen(reader) as stream:
        assert json.loads(stream.read())["tests"]["passed"] == 7


def test_the_report_is_saved_after_each_part(found, tmp_path, monkeypatch):
    file, saved = tmp_path / "gpu.json", []

    def sanitize(limit):
        saved.append(json.loads(file.read_text()))
        return iter(found.checks)

    monkeypatch.setattr(command, "run_sanitizer", sanitize)
    assert cli.main(["gpu", "--save", str(file)]) == 0
    assert [len(one["tables"]) for one in saved] == [1]


def test_failures_are_the_exit_code(found, tmp_path, capsys):
    def run(*only):
        return cli.main(["gpu", *(["--only", ",".join(only)] if only else [])])

    found.tests.failed, found.tests.failures = 1, ["x"]
    assert run() == 1
    assert "tests: FAILED x" in capsys.readouterr().out
    assert run("times", "sanitizer") == 0
    found.checks = [Check("racecheck", errors=2, complaints=["Race reported"])]
    assert run("sanitizer") == 1
    assert "racecheck: 2 errors" in capsys.readouterr().out
    found.tables[0].rows += [Row("a", "pool", f"N={i}", "float32", failure="off") for i in "0" * 20]
    assert run("times") == 1
    assert "sigmoid float32: FAILED a (N=0): off\n" in (printed := capsys.readouterr().out)
    assert printed.count("\n") < 90
    found.tables = [Table("pool", "float32", False, "pool float32", problem="ended by SIGSEGV")]
    assert run("times") == 1
    assert "pool float32: FAILED, ended by SIGSEGV" in capsys.readouterr().out


def test_the_longest_report_is_short():
    report = GpuReport("", MACHINE, GpuOptions(["tests"], 9.0), absent=["conv2d"])
    report.tests = Suite(failures=["x"] * 50, failed=50)

    def longest(one):
        texts = shapes.shapes(one.operator, one.dtype)
        return replace(row(1, operator=one.operator), shape=max(texts, key=len, default=""))

    report.tables = [
        Table(one.operator, one.dtype, one.tf32, one.name, [longest(one)])
        for one in times.asked(ALL)
    ]
    report.checks = [Check("memcheck", 9, ["a"] * 9), Check("racecheck", 9, ["a"] * 9)]
    text = f"{report.table()}\n{report.summary()}"
    assert text.count("\n") < 110
    assert max(map(len, text.splitlines())) < 140


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("gpu --only nothing", "--only: expected some of tests, times, sanitizer, but got 'nothi"),
        ("gpu --minutes 0", "--minutes: expected more than 0, but got 0.0"),
        ("gpu --save no/such.json", "--save: expected a file that can be written, but got"),
        ("conv --tf32", "--tf32: expected float32 on cuda, but got float32 on cpu"),
        ("pool --tf32", "unrecognized arguments: --tf32"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, found, capsys):
    assert cli.main(arguments.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["gpu", "pool --device cuda"])
def test_without_a_gpu_one_sentence_says_so(arguments, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert "expected a GPU that torch can use for cuda, but " in error
    assert error.count("\n") == 1


def test_tables_of_a_gpu_have_the_share_of_a_copy():
    options = Options("float32", ["contiguous"], "cuda", 1, 0.1)
    one = row(1e-4, 1e-4)
    one.work["forward"], one.errors["forward"] = 9e7, {"ours": 1e-8, "native": 1e-8}
    report = Report("sigmoid", "", MACHINE, options, math.nan, [one], copy=1000.0)
    assert "of copy" in report.table()
    assert "90%" in report.table()
    assert "·" not in report.table()  # no launch is timed
    assert "a copy of 512 MiB, here 1000 GB/s" in report.legend()
    assert report.content()["copy_gb_per_s"] == 1000
