"""Errors of convolutions are no larger than docs/accuracy.md says, nor than anyone was promised."""

import functools
import runpy
from pathlib import Path

import pytest
import torch
from accuracy import FLOATS, assert_sum_close
from layouts import channels_last, contiguous

import torchconv
from torchconv import backends

MODULE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "accuracy.py"))
RECORDED = MODULE["recorded"]()
EXTREMES = MODULE["recorded_extremes"]()
OURS = [setting for setting, policy in MODULE["SETTINGS"].items() if policy]
# Instruction sets differ in where they round: baseline has no fused multiply-add.
RMS, MOST = 1.15, 1.5
FACTOR = 2  # of figures of extreme layers, in both directions: a maximum of few elements varies


@pytest.mark.parametrize(
    "channels",
    [pytest.param(c, marks=[pytest.mark.slow] if c > 128 else []) for c in MODULE["CHANNELS"]],
)
@pytest.mark.parametrize("kernel", MODULE["ALGORITHMS"])
def test_no_row_of_the_page_gets_worse(isa, kernel, channels):
    for (result, algorithm), (rms, most) in MODULE["measure"](channels, kernel).items():
        recorded = RECORDED[channels, kernel, result, algorithm]
        assert rms <= RMS * recorded[0], (result, algorithm)
        assert most <= MOST * recorded[1], (result, algorithm)


def test_the_page_has_every_row_and_keeps_what_it_promises():
    """Winograd's algorithm stays below 4e-6, and its small tiles near direct sums."""
    per_channels = sum(len(MODULE["RESULTS"]) * len(a) for a in MODULE["ALGORITHMS"].values())
    assert len(RECORDED) == len(MODULE["CHANNELS"]) * per_channels
    for (channels, kernel, result, algorithm), (rms, most) in RECORDED.items():
        assert rms <= 4e-6
        if algorithm == "F(2x2, 3x3)":
            direct = RECORDED[channels, kernel, result, "direct"]
            assert rms <= 1.25 * direct[0]
            assert most <= 1.25 * direct[1]


# ---- extreme layers ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", MODULE["CASES"])
def test_the_page_tells_the_figures_of_extreme_layers(isa, case):
    found = MODULE["figures"](case, OURS)
    assert len(found) == len(MODULE["RESULTS"]) * len(OURS)
    for (result, setting), value in found.items():
        recorded = EXTREMES[case, result, setting]
        assert recorded / FACTOR <= value <= FACTOR * recorded, (result, setting)


def test_the_page_tells_what_each_setting_cures():
    per_case = len(MODULE["RESULTS"]) * len(MODULE["SETTINGS"])
    assert len(EXTREMES) == len(MODULE["CASES"]) * per_case
    native, default, strict, direct = MODULE["SETTINGS"]
    for case, result, _ in EXTREMES:
        row = {setting: EXTREMES[case, result, setting] for setting in MODULE["SETTINGS"]}
        if case in ("below zero", "not finite"):
            assert row[native] == row[direct] == 0 < row[strict] <= row[default]
        elif case == "huge pixel, float32":
            assert row[native] < 1e-5 > row[direct]
            assert row[default] > 1e-3
            assert (row[strict] < 1e-5) == (result != "gradient of the weight")
        else:
            assert row[direct] <= 1.05 * row[native]
            assert row[default] > row[native]


layers = pytest.mark.parametrize(
    ("dtype", "kernel"), [*((dtype, 3) for dtype in FLOATS), (torch.float32, 5)]
)
layouts = pytest.mark.parametrize("layout", [contiguous, channels_last])


@functools.cache
def reference(case, dtype, kernel):
    """What is given, the three results in float64, and their sums of |a||b|."""
    given = MODULE["extreme"](case, dtype, kernel)
    derive, native = MODULE["derive_extreme"], torch.nn.functional.conv2d
    expected = derive(native, *(t.double() for t in given))
    scales = derive(native, *(t.double().abs() for t in given))
    return given, expected, scales, MODULE["reads_huge"](given)


def direct(case, dtype, kernel, layout):
    """The three results without Winograd's algorithm, and by the reference."""
    given, *judged = reference(case, dtype, kernel)
    derive, laid_out = MODULE["derive_extreme"], [layout(t) for t in given]
    with backends.winograd(allow=False):
        results = derive(torchconv.conv2d, *laid_out)
    if kernel == 5:
        with backends.winograd(strict=True):
            assert all(map(torch.equal, derive(torchconv.conv2d, *laid_out), results))
    return zip(results, *judged, strict=True)


@layers
@layouts
def test_direct_sums_of_positive_terms_are_not_negative(isa, dtype, kernel, layout):
    for found, expected, scale, _ in direct("below zero", dtype, kernel, layout):
        assert_sum_close(found, expected, scale)
        assert not torch.any(found < 0)
        assert not torch.any(found.sqrt().isnan())


@layers
@layouts
def test_a_huge_pixel_changes_no_direct_sum_that_does_not_read_it(isa, dtype, kernel, layout):
    for found, expected, scale, reads in direct("huge pixel", dtype, kernel, layout):
        assert_sum_close(found[~reads], expected[~reads], scale[~reads])


@layers
@layouts
def test_direct_sums_overflow_only_with_their_result(isa, dtype, kernel, layout):
    for found, expected, scale, _ in direct("not finite", dtype, kernel, layout):
        assert torch.all(found.isfinite())
        assert_sum_close(found, expected, scale)


@layers
@pytest.mark.parametrize("case", ["below zero", "huge pixel", "not finite"])
def test_both_layouts_have_the_same_bits(case, dtype, kernel):
    derive, given = MODULE["derive_extreme"], MODULE["extreme"](case, dtype, kernel)
    results = [derive(torchconv.conv2d, *map(to, given)) for to in (contiguous, channels_last)]
    for found, other in zip(*results, strict=True):
        torch.testing.assert_close(found, other, rtol=0, atol=0, equal_nan=True)


@layers
def test_negative_sums_of_positive_terms_are_rounding_errors(isa, dtype, kernel):
    given = MODULE["extreme"]("below zero", dtype, kernel)
    for found in MODULE["derive_extreme"](torchconv.conv2d, *given):
        assert -found.min() <= 1e-6 * found.max()


@pytest.mark.parametrize(("strict", "pixel", "gradient"), [(False, 49, 225), (True, 4, 4)])
def test_transforms_enlarge_no_more_than_the_page_says(isa, strict, pixel, gradient):
    """Numbers of the other operand are so small that no sum of products overflows."""
    signs = 2.0 * torch.randint(0, 2, (4, 64, 16, 16)) - 1
    weight, small = 1e-9 * torch.randn(64, 64, 3, 3), 1e-9 * torch.randn(4, 64, 16, 16)
    most = 0.999 * torch.finfo(torch.float32).max
    image, grad_out = most / pixel * signs, most / gradient * signs
    with backends.winograd(strict=strict):
        derive = MODULE["derive_extreme"]
        out, grad_input, grad_weight = derive(torchconv.conv2d, image, weight, small)
        _, _, other = derive(torchconv.conv2d, small, weight, grad_out)
    for found in (out, grad_input, grad_weight, other):
        assert torch.all(found.isfinite())


@pytest.mark.parametrize("dtype", FLOATS)
def test_all_dtypes_overflow_but_those_with_a_wider_sum(isa, dtype):
    given = MODULE["extreme"]("not finite", dtype)
    for found in MODULE["derive_extreme"](torchconv.conv2d, *given):
        assert bool(found.isfinite().all()) == (dtype == torch.float16)


def test_of_5x5_kernels_a_huge_pixel_disturbs_the_gradient_of_the_weight_alone(isa):
    found = {}
    for case in ("below zero", "huge pixel", "not finite"):
        given, expected, _, reads = reference(case, torch.float32, 5)
        results = MODULE["derive_extreme"](torchconv.conv2d, *given)
        judged = zip(results, expected, reads, strict=True)
        found[case] = [MODULE["figure"](case, *each) for each in judged]
    assert min(*found["below zero"], *found["not finite"]) > 0
    out, grad_input, grad_weight = found["huge pixel"]
    assert max(out, grad_input) < 2e-5
    assert grad_weight > 1e-3
