"""Numbers and names as the cells of tables show them."""

import math

INTERRUPTED = "interrupted: the last rows are missing"
LAYOUT_NAMES = {"contiguous": "NCHW", "channels_last": "NHWC"}


def milliseconds(seconds: float) -> str:
    """Three digits that count; nothing for NaN."""
    return "" if math.isnan(seconds) else digits(1e3 * seconds)


def megabytes(value: float) -> str:
    """Three digits that count, of millions of bytes; nothing for NaN."""
    return "" if math.isnan(value) else digits(value / 1e6)


def digits(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def ratio_text(value: float) -> str:
    """Two decimals; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:.2f}"


def scientific(value: float) -> str:
    """Two digits that count, and an exponent."""
    return f"{value:.1e}"
