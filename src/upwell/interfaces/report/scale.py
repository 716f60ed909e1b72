"""Numbers on an axis and numbers in words: nice ticks, positions, short forms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from ``low`` to ``high`` onto positions from ``start`` to ``end``, in pixels.

    >>> Scale(0.0, 10.0, 100.0, 200.0)(2.5)
    125.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The position of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Round numbers that span ``low`` to ``high``, about ``about`` of them, ends included.

    >>> ticks(0.0, 0.094)
    (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
    >>> ticks(3.0, 3.0)
    (2.5, 3.0, 3.5)
    """
    if high <= low:
        pad = abs(low) / 10 or 1.0
        return ticks(low - pad, high + pad, 2) if pad != 1.0 else (low - 1.0, low, low + 1.0)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in STEPS if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(float(f"{index * step:.12g}") for index in range(first, last + 1))


def figure(value: float) -> str:
    """A number with as many decimals as its size calls for, so that columns align.

    >>> figure(0.08125), figure(3.6149), figure(1234567.0), figure(0.0), figure(-0.5)
    ('0.0813', '3.61', '1,234,567', '0', '−0.5000')
    """
    if value == 0:
        return "0"
    size = abs(value)
    decimals = 4 if size < 1 else 2 if size < 100 else 1 if size < 1000 else 0
    return f"{value:,.{decimals}f}".replace("-", "−")


def labels(values: Iterable[float]) -> tuple[str, ...]:
    """Tick labels with as few decimals as tell them apart.

    >>> labels((0.0, 0.025, 0.05))
    ('0', '0.025', '0.050')
    """
    listed = list(values)
    decimals = next(
        (d for d in range(7) if all(abs(v - round(v, d)) < 10.0**-9 for v in listed)), 6
    )
    return tuple(
        "0" if value == 0 else f"{value:,.{decimals}f}".replace("-", "−") for value in listed
    )


def signed(value: float) -> str:
    """A change, with its sign.

    >>> signed(0.0123), signed(-0.5), signed(0.0)
    ('+0.0123', '−0.5000', '0')
    """
    return ("+" if value > 0 else "") + figure(value)


def percent(share: float, sign: bool = False) -> str:
    """A share in percent.

    >>> percent(0.1234), percent(0.05, sign=True), percent(-0.5, sign=True)
    ('12.3%', '+5.0%', '−50.0%')
    """
    return (f"{share:+.1%}" if sign else f"{share:.1%}").replace("-", "−")
