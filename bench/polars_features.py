"""The behaviour features written directly in polars: what the behaviour stage is compared with.

Every row gets what was known about its user strictly before its own time: rows of the same user and
the same moment see the same past and not each other.
"""

import polars as pl

HALF_LIFE_SECONDS = 7 * 86_400.0
_RATE = 0.6931471805599453 / HALF_LIFE_SECONDS


def behaviour(events: pl.LazyFrame, categories: int) -> pl.LazyFrame:
    """Features of each event, one row an event, sorted by user and time.

    Expects `bench.synthetic.SCHEMA`. Gives `id`, `user`, `at` and, from the user's earlier rows:
    `click_rate` (share of shown items clicked, null before the first), `mean_dwell` (seconds, null
    before the first), `purchases` (count), `recency` (seconds since the last event, null for none),
    `category_0` … (counts of events) and `decayed` (count with a half-life of seven days).
    Exact while a user's history spans less than about 300 half-lives.
    """
    first = pl.struct("user", "at").rle_id() != pl.struct("user", "at").rle_id().shift(1)
    return (
        events.sort("user", "at", maintain_order=True)
        .with_columns(seconds=_seconds_of_user())
        .with_columns(**_before(categories))
        .with_columns(
            _run=pl.when(first.fill_null(True)).then(pl.int_range(pl.len())).forward_fill()
        )
        .select("id", "user", "at", *_as_of_run(categories))
    )


def _seconds_of_user() -> pl.Expr:
    """Seconds since the user's first event."""
    return (pl.col("at") - pl.col("at").first().over("user")).dt.total_microseconds() / 1e6


def _before(categories: int) -> dict[str, pl.Expr]:
    """Sums over the user's rows above each row; right for the first row of a moment."""
    click, dwell = pl.col("kind") == "click", pl.col("kind") == "dwell"
    value, grown = pl.col("value"), (pl.col("seconds") * _RATE).exp()
    sums = {
        "_shown": _above(click.cast(pl.Int32)),
        "_clicked": _above(pl.when(click).then(value).otherwise(0.0)),
        "_dwells": _above(dwell.cast(pl.Int32)),
        "_dwelt": _above(pl.when(dwell).then(value).otherwise(0.0)),
        "purchases": _above((pl.col("kind") == "purchase").cast(pl.Int32)),
        "recency": pl.col("seconds") - pl.col("seconds").shift(1).over("user"),
        "decayed": _above(grown) / grown,
    }
    return sums | {
        f"category_{c}": _above((pl.col("category") == c).cast(pl.Int32)) for c in range(categories)
    }


def _above(amount: pl.Expr) -> pl.Expr:
    return amount.cum_sum().over("user") - amount


def _as_of_run(categories: int) -> list[pl.Expr]:
    """Every value as it stood at the first row of the row's moment."""
    run = pl.col("_run")

    def at(name: str) -> pl.Expr:
        return pl.col(name).gather(run)

    def mean(total: str, count: str) -> pl.Expr:
        return pl.when(at(count) > 0).then(at(total) / at(count))

    return [
        mean("_clicked", "_shown").alias("click_rate"),
        mean("_dwelt", "_dwells").alias("mean_dwell"),
        at("purchases"),
        at("recency"),
        *(at(f"category_{c}") for c in range(categories)),
        at("decayed"),
    ]
