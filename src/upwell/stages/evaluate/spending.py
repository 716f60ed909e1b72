"""How much of α one look may spend, so that a loop that looks for ever errs seldom in all.

The level of look t after R proved promotions is that of LOND (Javanmard & Montanari 2018):

    α_t = α · γ_t · (R + 1),    Σ γ_t = 1.

While nothing has improved, R is 0 until the first false promotion, so by the union bound the chance
that there ever is one is at most Σ α·γ_t = α, however much looks depend on each other. Promotions
that are real earn later looks a larger level, and the share of false ones among them stays ≤ α.

``γ_1 = 0.6``: the first look needs at most 1.2 times the cases of a single test at α, as power 0.8
takes (z_α + 0.84)² ∝ n. The rest is ∝ t^−1.5: hardly any other power gives look 10 more, and none
gives look 50 more than 1.21 times as much. Look 10 needs 2.9 and look 50 3.8 times the cases of a
single test.
"""

from __future__ import annotations

FIRST = 0.6
_POWER = 1.5
_ZETA = 2.612375348685488
"""Riemann's ζ(1.5) = Σ t^−1.5."""


def share(look: int) -> float:
    """γ: the part of α that belongs to a look, counted from 1.

    >>> [round(share(look), 4) for look in (1, 2, 10, 50)]
    [0.6, 0.0877, 0.0078, 0.0007]
    """
    return FIRST if look == 1 else (1.0 - FIRST) / (_ZETA - 1.0) / look**_POWER


def level(alpha: float, look: int, promotions: int = 0) -> float:
    """α of a look after so many proved promotions; of those, each earlier look can have made one.

    >>> level(0.05, 1), round(level(0.05, 10), 6), round(level(0.05, 10, promotions=3), 6)
    (0.03, 0.000392, 0.001569)
    """
    return alpha * share(look) * (min(promotions, look - 1) + 1)
