"""Capture and answers under load: R3 and R4 of the promises, against a service in its own process.

1,000 events a second come in for ten minutes, each forced to disk, and feedback beside them;
answers are asked for 50 times a second while a turn trains; then as fast as it goes, beside plain
SQLite; then five times that. Requests are sent when they are due and timed from then, whatever
became of those before. ``--minutes 1`` makes everything as much shorter; of parts that are not
run, the rows of the last run stay.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.capturing import fresh, worlds
from bench.capturing.bare import events_per_second
from bench.capturing.bodies import SIZES
from bench.capturing.load import Sent, Stream
from bench.capturing.watched import astray, centile, failed, send, serving, training, watched
from bench.rows import Row, measured, publish
from upwell.store.project import create_project

MINUTES = 10.0
RATE, FEEDBACK, ASKED, TIMES = 1000.0, 10.0, 50.0, 5.0
ACK, SAID, ANSWERED, SHARE, GIB = 250.0, 50.0, 100.0, 0.6, 1.0
BATCH, LANES, CROWD = 50, 16, 800
PARTS = ("held", "answers", "peak", "overload")
LIMITS = {"UPWELL_HTTP__KEY_PER_SECOND": "10000000"}
"""Peak and overload are about what the service can, not about what it lets one key do."""


def main() -> None:
    """Put the load on and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    chosen = parser.parse_args()
    seconds, rows = chosen.minutes * 60.0, list[Row]()
    with TemporaryDirectory() as name:
        folder = Path(name)
        if "held" in chosen.parts:
            rows += held(folder / "held", seconds)
        if "answers" in chosen.parts:
            rows += answers(folder, seconds / 5)
        if {"peak", "overload"} & set(chosen.parts):
            os.environ.update(LIMITS)
            most, told = peak(folder / "peak", seconds / 20)
            rows += told
            if "overload" in chosen.parts:
                rows += overload(folder / "overload", most, seconds / 10)
    earlier = measured("capture", rows) if set(chosen.parts) < set(PARTS) else []
    publish("capture", [*earlier, *rows])


def held(folder: Path, seconds: float) -> Iterator[Row]:
    """1,000 events a second, in requests of 1 to 50, and feedback beside them."""
    rate = RATE * len(SIZES) / sum(SIZES)
    capture = Stream("held", "/v1/events", "events", rate, seconds, LANES)
    said = Stream("said", "/v1/feedback", "feedback", FEEDBACK, seconds, 4)
    with serving(create_project(folder, "held")) as server:
        events, feedback = send(server.port, capture, said)
    yield Row("held: events a second", events.done * sum(SIZES) / len(SIZES) / events.seconds)
    yield from _times("held: capture", events, ACK)
    yield from _times("held: feedback", feedback, SAID)
    yield _none("held: answers that failed", failed(events) + failed(feedback))
    lost = astray(folder, [(capture, capture.count), (said, said.count)])
    yield _none("held: events missing or too many", lost)


def answers(folder: Path, seconds: float) -> Iterator[Row]:
    """50 questions a second while a turn of the same project trains, niced."""
    films, messages = folder / "films", folder / "messages"
    users = tuple(worlds.users_of(worlds.recommending(films)))
    worlds.classifying(messages)
    asked = (
        (films, Stream("recommend", "/v1/predict/recommend", "ask", ASKED, seconds, LANES, 0,
                       users=users)),
        (messages, Stream("classify", "/v1/predict/classify", "ask", ASKED, seconds, LANES, 0,
                          users=users, inputs=tuple(worlds.messages(500)), k=1)),
    )  # fmt: skip
    for project, stream in asked:
        with serving(project) as server, training(project) as ended:
            time.sleep(5.0)
            (sent,) = send(server.port, stream)
            if stream.name == "recommend":
                yield _none("recommend: answers that did not know the last event",
                            fresh.unaware(server.port, users[:20]))  # fmt: skip
        yield from _times(f"{stream.name}, a turn trains", sent, ANSWERED)
        yield _none(f"{stream.name}: answers that failed", failed(sent))
        yield Row(f"{stream.name}: turns that ended meanwhile", float(len(ended)))


def peak(folder: Path, seconds: float) -> tuple[float, list[Row]]:
    """As fast as it goes, in requests of 50; before and after, what plain SQLite can do."""
    folder.mkdir()
    bare, plain = list[float](), list[float]()
    bare.append(events_per_second(folder, BATCH, seconds / 2))
    stream = Stream("peak", "/v1/events", "events", 0.0, seconds, LANES, BATCH)
    with serving(create_project(folder / "served", "peak")) as server:
        (sent,) = send(server.port, stream)
    bare.append(events_per_second(folder, BATCH, seconds / 2))
    plain.append(events_per_second(folder, BATCH, seconds / 4, indexed=False))
    ours, theirs = sent.done * BATCH / sent.seconds, sum(bare) / len(bare)
    lost = astray(folder / "served", [(stream, sent.done)])
    return ours, [
        Row("peak: events a second", ours),
        Row("peak: events a second of plain SQLite, same table", theirs),
        Row("peak: events a second of plain SQLite, key alone indexed", plain[0]),
        Row("peak: share of plain SQLite, same table", ours / theirs, target=f"≥ {SHARE:g}",
            holds=ours >= SHARE * theirs),
        _none("peak: answers that failed", failed(sent)),
        _none("peak: events missing or too many", lost),
    ]  # fmt: skip


def overload(folder: Path, most: float, seconds: float) -> Iterator[Row]:
    """Five times the peak, from clients that send again what was refused, until all is taken."""
    stream = Stream(
        "over", "/v1/events", "events", TIMES * most / BATCH, seconds, CROWD, BATCH, retry=True,
        patience=30 * seconds + 60,
    )  # fmt: skip
    with serving(create_project(folder, "overload")) as server:
        with watched(server.process.pid) as grown:
            (sent,) = send(server.port, stream)
        alive = server.process.poll() is None
    refused = sent.statuses[429] + sent.statuses[503]
    other = sum(n for status, n in sent.statuses.items() if status >= 300) - refused
    above = (grown.most - grown.idle) / 2**30
    yield Row("overload: events a second that were due", TIMES * most)
    yield Row("overload: requests that were told to come again", float(refused))
    yield Row("overload: seconds until all was taken", sent.seconds)
    yield _none("overload: answers other than 2xx, 429 and 503", other)
    yield _none("overload: refusals without Retry-After", sent.without_retry_after)
    yield _none("overload: connections that broke", sent.broken)
    yield Row("overload: memory above idle, GiB", above, target=f"≤ {GIB:g}",
              holds=alive and above <= GIB)  # fmt: skip
    yield _none("overload: events missing or too many", astray(folder, [(stream, stream.count)]))


def _times(name: str, sent: Sent, most: float) -> Iterator[Row]:
    worst = centile(sent, 0.99)
    yield Row(f"{name}, p50, ms", centile(sent, 0.5))
    yield Row(f"{name}, p99, ms", worst, target=f"≤ {most:g}", holds=worst <= most)


def _none(name: str, count: int) -> Row:
    return Row(name, float(count), target="0", holds=count == 0)


if __name__ == "__main__":
    main()
