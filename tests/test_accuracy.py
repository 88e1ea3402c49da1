"""Errors of convolutions are no larger than docs/accuracy.md says, nor than anyone was promised."""

import runpy
from pathlib import Path

import pytest

MODULE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "accuracy.py"))
RECORDED = MODULE["recorded"]()
# Instruction sets differ in where they round: baseline has no fused multiply-add.
RMS, MOST = 1.15, 1.5


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
