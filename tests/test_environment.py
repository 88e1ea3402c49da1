"""Environment variables that choose kernels: one rule for all of them."""

import json

import pytest
from processes import python

from torchconv import _C, backends

FLAGS = {
    "TORCHCONV_HUGE_PAGES": "get_huge_pages",
    "TORCHCONV_ALLOW_WINOGRAD": "get_allow_winograd",
    "TORCHCONV_STRICT_ACCURACY": "get_strict_accuracy",
}
WORDS = {
    **dict.fromkeys(("1", "true", "on", "yes", "True", "ON"), True),
    **dict.fromkeys(("0", "false", "off", "no", "False", "OFF"), False),
}
CHOICES = {
    "TORCHCONV_CPU_ISA": backends.available_cpu_isas(),
    "TORCHCONV_CUDA_ALGORITHM": ["automatic", "product", "direct", "wgmma"],
    "TORCHCONV_CUDA_TILE": ["automatic", "128x128", "128x64", "64x64"],
    "TORCHCONV_CUDA_FLOAT32": ["automatic", "tf32", "tf32x3", "fma"],
}
READERS = {
    **{variable: f"_C.{reader}()" for variable, reader in FLAGS.items()},
    "TORCHCONV_CPU_ISA": "_C.get_isa()",
    **{name: f"_C.get_cuda_choice('{name.rpartition('_')[2].lower()}')" for name in CHOICES
       if "CUDA" in name},
}  # fmt: skip

# One process imports torch; a fork of it for each value imports torchconv.
PROGRAM = """
import json, os, sys, torch
for variable, value, reader in json.loads(sys.stdin.readline()):
    if os.fork() == 0:
        os.environ[variable] = value
        try:
            from torchconv import _C
            found = eval(reader)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        print(json.dumps(found), flush=True)
        os._exit(0)
    os.wait()
"""


def imported_with(cases):
    """What is chosen, or the error of the import, for each (variable, value)."""
    request = json.dumps([(variable, value, READERS[variable]) for variable, value in cases])
    result = python(PROGRAM, stdin=request + "\n")
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_flags():
    cases = {(variable, word): yes for variable in FLAGS for word, yes in WORDS.items()}
    assert imported_with(cases) == list(cases.values())


def test_choices():
    cases = [(variable, name) for variable, names in CHOICES.items() for name in names]
    assert imported_with(cases) == [name for _, name in cases]


def test_an_empty_value_leaves_the_default():
    defaults = [True, True, False, backends.available_cpu_isas()[-1], *["automatic"] * 3]
    assert imported_with([(variable, "") for variable in READERS]) == defaults


def test_other_values_are_refused():
    cases = [(variable, value) for variable in READERS for value in ("2", "Maybe", "sse9", " 1")]
    for (variable, value), found in zip(cases, imported_with(cases), strict=True):
        words = CHOICES.get(variable, ["0", "false", "off", "no", "1", "true", "on", "yes"])
        kind = " an instruction set of this CPU," if variable == "TORCHCONV_CPU_ISA" else ""
        sentence = f"{variable}: expected{kind} one of {', '.join(words)}, but got '{value}'"
        assert found == f"ValueError: {sentence}"


def test_a_message_quotes_any_value_in_one_line():
    values = {"\udcff\udcfe": r"\xff\xfe", "a\nb": r"a\x0ab", "x" * 10_000: "x" * 60 + "…"}
    cases = [(variable, value) for variable in ("TORCHCONV_HUGE_PAGES", "TORCHCONV_CPU_ISA")
             for value in values]  # fmt: skip
    for (_, value), found in zip(cases, imported_with(cases), strict=True):
        assert found.startswith("ValueError: ")
        assert found.endswith(f", but got '{values[value]}'")


def test_calls_refuse_other_names_in_the_same_way():
    sets = ", ".join(backends.available_cpu_isas())
    kind = "an instruction set of this CPU, one of"
    sentence = f"cpu_isa: expected name to be {kind} {sets}, but got 'sse9'"
    with pytest.raises(ValueError, match=sentence), backends.cpu_isa("sse9"):
        pass
    with pytest.raises(ValueError, match=r"expected one of automatic, .* but got '7'"):
        _C.set_cuda_choice("tile", "7")
