"""The behaviour features written directly in polars: what the behaviour stage is compared with.

The same values by the same rules as ``stages.behaviour.features``: rows of one user and one moment
see the same past and not each other. Sums are floating-point, so they agree to rounding only.
"""

from __future__ import annotations

import math

import polars as pl

DAY = 86_400_000_000
BUCKETS = 6
_FACTS = ("item", "user")


def behaviour(events: pl.LazyFrame, half_life_days: float) -> pl.LazyFrame:
    """``seq`` and one column a feature, from events with the Event columns and ``seq``."""
    acts = _acts(events).with_columns(
        since=pl.col("t") - pl.col("t").first().over("user"), day=pl.col("t") // DAY
    )
    begins = pl.struct("user", "t").rle_id()
    run = pl.when((begins != begins.shift(1)).fill_null(True)).then(pl.int_range(pl.len()))
    known = acts.with_columns(**_before(math.log(2.0) / (half_life_days * DAY))).with_columns(
        run=run.forward_fill()
    )
    return known.select("seq", **_values())


def _acts(events: pl.LazyFrame) -> pl.LazyFrame:
    """Acts in order of user and time, each with the bucket of its item's category."""
    genre = pl.col("payload").str.json_path_match("$.genres[0]")
    facts = (
        events.filter(pl.col("kind") == "item")
        .sort("at")
        .group_by("item")
        .last()
        .select("item", bucket=genre.hash() % BUCKETS)
    )
    acts = events.filter(~pl.col("kind").is_in(_FACTS)).select(
        "user", "kind", "value", "seq", "item", t=pl.col("at").dt.epoch("us")
    )
    joined = acts.join(facts, on="item", how="left", maintain_order="left")
    return joined.sort("user", "t", maintain_order=True)


def _before(rate: float) -> dict[str, pl.Expr]:
    """Sums over the user's rows above each row; right for the first row of a moment."""
    kind, value = pl.col("kind"), pl.col("value")
    rated = (kind == "rating") & value.is_not_null()
    dwelt = (kind == "dwell") & value.is_not_null()
    new_day = (pl.col("day") != pl.col("day").shift(1)).fill_null(True).over("user")
    grown = (pl.col("since") * rate).exp()
    flags = {
        "clicks": kind == "click",
        "purchases": kind == "purchase",
        "ratings": rated,
        "dwells": dwelt,
        "skips": kind == "skip",
        "active_days": new_day,
        **{f"category_{n}": (pl.col("bucket") == n).fill_null(False) for n in range(BUCKETS)},
    }
    return {
        "events": pl.int_range(pl.len()).over("user"),
        "last": pl.col("t").shift(1).over("user"),
        **{name: _above(flag.cast(pl.Int32)) for name, flag in flags.items()},
        "stars": _above(pl.when(rated).then(value.clip(0, 100)).otherwise(0.0)),
        "dwelt": _above(pl.when(dwelt).then(value.clip(0, 14_400)).otherwise(0.0)),
        "spent": _above(
            pl.when(kind == "purchase").then(value.clip(0, 2e7).fill_null(0)).otherwise(0.0)
        ),
        "decayed": _above(grown) / grown,
    }


def _above(amount: pl.Expr) -> pl.Expr:
    return amount.cum_sum().over("user") - amount


def _values() -> dict[str, pl.Expr]:
    """Every feature as it stood at the first row of the row's moment."""
    counts = ("events", "clicks", "purchases", "ratings", "dwells", "skips", "active_days")
    tastes = tuple(f"category_{n}" for n in range(BUCKETS))
    return {
        **{name: _log(_at(name)) for name in (*counts, *tastes)},
        "idle_days": _log((pl.col("t") - _at("last")).fill_null(0) / DAY),
        "click_rate": _at("clicks") / pl.max_horizontal(_at("events"), 1),
        "mean_rating": _at("stars") / pl.max_horizontal(_at("ratings"), 1),
        "mean_dwell": _log(_at("dwelt") / pl.max_horizontal(_at("dwells"), 1)),
        "spent": _log(_at("spent")),
        "activity": _log(_at("decayed")),
    }


def _at(name: str) -> pl.Expr:
    return pl.col(name).gather(pl.col("run"))


def _log(value: pl.Expr) -> pl.Expr:
    return (1 + value).log()
