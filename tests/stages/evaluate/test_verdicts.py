"""What another model says of two replies counts where it is a verdict, and nowhere else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from upwell.settings import GuardSettings
from upwell.stages.evaluate.guards import entry
from upwell.stages.evaluate.verdicts import (
    LONGEST,
    MESSAGES,
    SCHEMA,
    WORDS,
    judged,
    quoted,
    request,
    settled,
    verdict,
)

EACH = np.arange(16)


@pytest.mark.parametrize("word", WORDS)
def test_a_verdict_is_read(word: str) -> None:
    assert verdict(f' {{"better":\n"{word}"}} ') == word


@pytest.mark.parametrize(
    "text",
    [
        "", "first", '"first"', "null", "1", "[]", "{}", "{", '["better", "first"]',
        '[["better", "first"]]', '{"better": "First"}', '{"better": "first "}',
        '{"better": "none"}', '{"better": null}', '{"better": true}', '{"better": ["first"]}',
        '{"better": {"better": "first"}}', '{"Better": "first"}', '{"better ": "first"}',
        '{"better": "first", "why": "it is"}', '{"better": "first", "better": "second"}',
        '{"better": "first"} {"better": "second"}', 'Sure! {"better": "first"}',
        '```json\n{"better": "first"}\n```', "{'better': 'first'}", '{"better": "first",}',
        '{"better": "fir\u200bst"}', '{"better": "ｆｉｒｓｔ"}', '\ufeff{"better": "first"}',
        '{"better": "first"}' + " " * 200, "[" * 150, "9" * 199, "NaN",
    ],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    assert verdict(text) is None


def test_who_is_preferred_in_one_order_alone_is_preferred_in_none() -> None:
    found = {(one, other): settled(one, other) for one in WORDS for other in WORDS}
    assert {pair for pair, sign in found.items() if sign == 1} == {("first", "second")}
    assert {pair for pair, sign in found.items() if sign == -1} == {("second", "first")}
    assert settled(None, "first") is None
    assert settled("tie", None) is None


def test_what_is_asked_has_two_messages_a_schema_and_no_tools() -> None:
    told = [{"role": "user", "content": "hi", "name": "ann"}]
    asked = request("big", told, "one", "other")
    assert set(asked) == {"model", "temperature", "max_tokens", "messages", "response_format"}
    assert (asked["model"], asked["temperature"]) == ("big", 0)
    assert [one["role"] for one in asked["messages"]] == ["system", "user"]
    form = asked["response_format"]["json_schema"]
    assert (form["strict"], form["schema"]) == (True, SCHEMA)
    # A name that somebody gave beside what they said is not sent.
    assert json.loads(asked["messages"][1]["content"]) == {
        "conversation": [{"role": "user", "content": "hi"}], "first": "one", "second": "other",
    }  # fmt: skip


def test_what_is_sent_is_bounded() -> None:
    told = [{"role": "user", "content": f"{n}" + "x" * LONGEST} for n in range(40)]
    asked = request("m", told, "a" * 10 * LONGEST, "b" * 10 * LONGEST)
    data = json.loads(asked["messages"][1]["content"])
    assert len(data["conversation"]) == MESSAGES
    texts = [data["first"], data["second"], *(one["content"] for one in data["conversation"])]
    assert {len(text) for text in texts} == {LONGEST}


def test_what_is_quoted_can_be_seen_and_read_back() -> None:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000), *range(0xE0000, 0xE0080)]))
    text = quoted({"first": every, "second": ["\ud800", '\\"\\\\']})
    assert json.loads(text) == {"first": every, "second": ["\ud800", '\\"\\\\']}
    assert text.isprintable()
    assert not {*text} & {*"<>|"}
    assert "中文" in quoted("中文")


def test_a_judge_that_prefers_what_serves_is_heard() -> None:
    found = judged([1] * 5 + [0] * 11, EACH, 0.95)
    assert (found.value, found.sure) == (5 / 16, True)
    assert (found.told["before"], found.told["after"], found.told["unread"]) == (5, 0, 0)
    assert found.told["p"] == pytest.approx(2**-5)
    assert entry("judged", found, GuardSettings())["crossed"]
    assert GuardSettings().verdict("judged") == "note"
    assert GuardSettings(hold=("judged",)).verdict("judged") == "hold"


def test_a_few_verdicts_are_chance_and_ties_are_nothing() -> None:
    assert not judged([1] * 4 + [0] * 12, EACH, 0.95).sure
    assert not judged([1] * 6 + [-1] * 2 + [0] * 8, EACH, 0.95).sure
    ties, better = judged([0] * 16, EACH, 0.95), judged([-1] * 16, EACH, 0.95)
    assert (ties.value, ties.sure) == (0.0, False)
    assert (better.value, better.sure) == (-1.0, False)


def test_many_conversations_of_one_user_are_one_case() -> None:
    assert not judged([1] * 16, np.zeros(16, np.int64), 0.95).sure


def test_what_could_not_be_read_is_counted_and_says_nothing() -> None:
    found = judged([1] * 9 + [None] * 7, EACH, 0.95)
    assert (found.value, found.sure, found.told["unread"]) == (1.0, True, 7)
    most = judged([1] * 8 + [None] * 8, EACH, 0.95)
    assert (most.value, most.why) == (None, "guard.why.judge_unread")
