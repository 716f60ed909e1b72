from __future__ import annotations

from upwell.wiring.ready import Ready


def test_what_was_not_used_for_longest_makes_room() -> None:
    ready = Ready[str](3)
    for name in ("a", "b", "c"):
        ready.put(name, name, ready.era)
    assert ready.get("a") == "a"
    ready.put("d", "d", ready.era)
    assert [ready.get(name) for name in "abcd"] == ["a", None, "c", "d"]
    assert len(ready) == 3


def test_a_value_counts_what_it_weighs() -> None:
    ready = Ready[str](10, len)
    ready.put("long", "x" * 8, ready.era)
    ready.put("short", "xx", ready.era)
    ready.put("long", "x" * 5, ready.era)
    ready.put("more", "xxx", ready.era)
    assert len(ready) == 3
    ready.put("huge", "x" * 11, ready.era)
    assert len(ready) == 0


def test_what_was_read_before_a_drop_is_not_kept_after_it() -> None:
    ready = Ready[str](3)
    before = ready.era
    ready.drop(["a"])
    ready.put("a", "old", before)
    assert "a" not in ready
    ready.put("a", "new", ready.era)
    ready.put("b", "old", ready.era)
    ready.drop_where(lambda value: value == "old")
    assert ("a" in ready, "b" in ready) == (True, False)
