"""What is counted, in the text format that Prometheus reads (version 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Timer:
    """How long something took, in seconds: counts by upper bound, and the sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str) -> Iterable[str]:
        """The samples of a histogram."""
        yield f"# TYPE {name} histogram"
        below = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{le="{bound}"}} {below}'
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {below}"


@dataclass(slots=True)
class Meters:
    """The counters of one process; they begin at 0 when it starts."""

    events: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    spans: Counter[str] = field(default_factory=Counter)
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    ack: Timer = field(default_factory=Timer)
    inference: Timer = field(default_factory=Timer)

    def text(self, gauges: Mapping[str, float]) -> str:
        """Everything counted, and ``gauges`` as they stand now."""
        lines = [
            "# TYPE upwell_events_total counter",
            *(f'upwell_events_total{{outcome="{name}"}} {self.events[name]}'
              for name in ("accepted", "duplicate", "refused")),
            "# TYPE upwell_bad_rows_total counter",
            *(f'upwell_bad_rows_total{{code="{code}"}} {n}'
              for code, n in sorted(self.bad.items())),
            "# TYPE upwell_spans_total counter",
            *(f'upwell_spans_total{{outcome="{name}"}} {self.spans[name]}'
              for name in ("kept", "ignored", "refused")),
            "# TYPE upwell_requests_total counter",
            *(f'upwell_requests_total{{route="{route}",status="{status}"}} {n}'
              for (route, status), n in sorted(self.answered.items())),
            *self.ack.lines("upwell_ingest_ack_seconds"),
            *self.inference.lines("upwell_inference_overhead_seconds"),
        ]  # fmt: skip
        for name, value in gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"
