"""OpenAI's own client against the service: replies, streams, models, trials, feedback on them."""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import httpx2
import numpy as np
import openai
import pytest
from openai import OpenAI
from tests.interfaces.http.talk.conftest import HELLO, asked, client_of, said, streamed
from tests.talking import AT, Talker, answers, listening, waited

from upwell import wiring
from upwell.interfaces.http import desk
from upwell.loop import quiet
from upwell.plugins import plugin
from upwell.records import Decision, ModelVersion
from upwell.service import Upwell
from upwell.store.access import RANDOM_BYTES, READ, Access
from upwell.store.project import create_project, open_project
from upwell.tables import canonical_json
from upwell.wiring import encoding

CHAT = {"task": "chat"}


def test_a_reply_is_recorded_before_it_is_given(client: OpenAI, upwell: Upwell) -> None:
    found = asked(
        client, user="ann", max_tokens=50, temperature=0, seed=7, metadata={"page": "help"},
        extra_body={"upwell::tags": {"a": "b"}},
    )  # fmt: skip
    assert found.choices[0].message.content == "talker-0: hello there "
    assert found.choices[0].finish_reason == "stop"
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (2, 5)
    told = found.model_extra["upwell"]
    assert told == {"model_version": "talker-0", "variant": "champion", "propensity": 1.0,
                    "episode_id": found.id, "group": ""}  # fmt: skip
    (row,) = answers(upwell)
    assert (row["id"], row["user"], row["model"]) == (found.id, "ann", "talker-0")
    assert json.loads(row["input"]) == HELLO
    assert row["output"]["answers"] == ["talker-0: hello there "]
    assert row["output"]["scores"] == [pytest.approx(2.718281828 ** (-0.1))]
    assert row["output"]["metadata"] == {"page": "help"}
    assert row["output"]["tags"] == {"a": "b"}
    assert "cut" not in row["output"]
    assert (row["policy"], row["propensity"]) == ("greedy", 1.0)


def test_a_stream_comes_in_parts_and_is_recorded_at_its_end(client: OpenAI, upwell: Upwell) -> None:
    parts = list(streamed(client, model="talker-0", stream_options={"include_usage": True}))
    (row,) = answers(upwell)
    assert {part.id for part in parts} == {row["id"]}
    texts = [choice.delta.content or "" for part in parts for choice in part.choices]
    assert "".join(texts) == "talker-0: hello there " == row["output"]["answers"][0]
    assert len([text for text in texts if text]) == 3
    assert [choice.finish_reason for part in parts for choice in part.choices][-1] == "stop"
    assert parts[0].model_extra is not None
    assert parts[0].model_extra["upwell"]["model_version"] == "talker-0"
    assert parts[-1].choices == []
    assert parts[-1].usage is not None
    assert parts[-1].usage.completion_tokens == 3
    assert row["output"]["end"] == "stop"
    # Nobody was named, so nobody has agreed to anything.
    assert row["user"] == f"prediction:{row['id']}"


def test_a_raw_stream_ends_as_clients_expect(url: str, key: str) -> None:
    sent = {"model": "shop", "messages": HELLO, "stream": True}
    with httpx2.Client(trust_env=False) as http:
        answer = http.post(
            f"{url}/v1/chat/completions", json=sent, headers={"authorization": f"Bearer {key}"}
        )
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith("data: {") for line in lines[:-2])


def test_a_conversation_goes_on(client: OpenAI, upwell: Upwell) -> None:
    first = asked(client, user="ann")
    messages = [
        *HELLO, first.choices[0].message.model_dump(), {"role": "user", "content": "and now"},
    ]  # fmt: skip
    second = asked(
        client, messages=messages, user="ann",
        extra_body={"upwell::episode_id": first.id, "upwell::personalize": False},
    )  # fmt: skip
    assert second.choices[0].message.content == "talker-0: and now "
    one, other = answers(upwell)
    assert [turn["role"] for turn in json.loads(other["input"])] == ["user", "assistant", "user"]
    assert other["output"]["episode"] == first.id == one["output"]["episode"]
    assert other["output"]["personalize"] is False


def test_feedback_joins_the_reply(client: OpenAI, upwell: Upwell, url: str, key: str) -> None:
    found = asked(client, user="ann")
    parts = list(streamed(client, user="ben"))
    said(url, key, found.id, "thumbs", True)
    said(url, key, parts[0].id, "demonstration", "hello, Ben")
    upwell.capture(
        [{"id": f"l{n}", "kind": "label", "at": AT, "payload": {"input": f"i{n}", "target": "t"}}
         for n in range(60)]
    )  # fmt: skip
    project, now = upwell.project, datetime.now(UTC) + timedelta(hours=1)
    turn = wiring.begin(project, None, 0, now)
    snapshot = str(wiring.freeze(project, turn, quiet)["snapshot"])
    data = wiring.dataset(project, snapshot)
    rows = [row for part in (data.train, data.validation, data.test) for row in part.to_pylist()]
    spoken = "talker-0: hello there "
    about = [row for row in rows if row["input"] == canonical_json(HELLO)]
    assert sorted((row["target"], row["sign"]) for row in about) == [
        ("hello, Ben", 1), (spoken, -1), (spoken, 1)]  # fmt: skip


def test_a_client_that_goes_away_stops_the_reply_and_what_it_got_is_recorded(
    client: OpenAI, upwell: Upwell, task: Talker
) -> None:
    stream = streamed(client, "endless", max_tokens=4000, user="ann")
    got = [next(stream) for _ in range(5)]
    stream.close()
    (row,) = waited(upwell, 1)
    assert row["id"] == got[0].id
    assert row["output"]["cut"] is True
    assert row["output"]["answers"][0].startswith("tick tick tick ")
    made = len(task.made)
    time.sleep(0.3)
    assert len(task.made) == made < 400


def test_a_client_that_waits_no_longer_stops_a_whole_reply_too(
    url: str, key: str, upwell: Upwell, task: Talker
) -> None:
    impatient = client_of(url, key).with_options(timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        asked(impatient, "endless", max_tokens=4000)
    impatient.close()
    time.sleep(0.5)
    made = len(task.made)
    time.sleep(0.3)
    assert len(task.made) == made < 400
    assert answers(upwell) == []


def test_a_stream_that_fails_says_so_and_keeps_what_was_sent(
    client: OpenAI, upwell: Upwell
) -> None:
    with pytest.raises(openai.APIError) as caught:
        list(streamed(client, "a b fail c"))
    assert caught.value.code == "http.unexpected"
    (row,) = waited(upwell, 1)
    assert row["output"]["cut"] is True
    assert row["output"]["answers"] == ["talker-0: a b "]


def test_where_all_threads_talk_others_are_told_to_come_again(
    upwell: Upwell, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "TALKERS", 1)
    with listening(upwell, threads=1, waiting=1) as url, client_of(url, key) as client:
        first = streamed(client, "endless", max_tokens=4000)
        next(first)
        waiting = Thread(target=lambda: list(streamed(client, "x")))
        waiting.start()
        time.sleep(0.3)
        with pytest.raises(openai.InternalServerError) as caught:
            asked(client)
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"] == "1"
        began = time.monotonic()
        with httpx2.Client(trust_env=False) as http:
            assert http.get(f"{url}/health/live").status_code == 200
        assert time.monotonic() - began < 2.0
        first.close()
        waiting.join(20)
        assert not waiting.is_alive()
    assert sorted(row["output"].get("cut", False) for row in waited(upwell, 2)) == [False, True]


def test_many_at_once_are_answered_while_others_stream(
    client: OpenAI, upwell: Upwell, url: str, key: str
) -> None:
    done: list[str] = []

    def ask(number: int) -> None:
        with client_of(url, key) as mine:
            parts = streamed(mine, f"n{number}")
            done.append("".join(part.choices[0].delta.content or "" for part in parts))

    threads = [Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(f"talker-0: n{number} " for number in range(12))
    assert len(waited(upwell, 12)) == 12


def test_replies_wait_for_each_other_and_not_for_the_threads_that_rank(
    upwell: Upwell, key: str
) -> None:
    with listening(upwell, threads=1, waiting=1) as url, client_of(url, key) as client:
        streams = [streamed(client, "endless", max_tokens=4000) for _ in range(4)]
        assert all(next(stream) for stream in streams)
        for stream in streams:
            stream.close()
    waited(upwell, 4)


def test_embeddings_come_as_numbers_and_as_base64(client: OpenAI) -> None:
    texts = ["the cat sleeps", "a kitten naps", "income tax"]
    if encoding.missing() is not None:
        pytest.skip("the text encoder is not installed")
    found = client.embeddings.create(model=encoding.NAME, input=texts)
    plain = client.embeddings.create(model="minilm", input=texts, encoding_format="float")
    one, two = (np.array([row.embedding for row in got.data]) for got in (found, plain))
    assert one.shape == (3, 384)
    assert one == pytest.approx(two, abs=1e-6)
    near = one @ one.T
    assert np.diag(near) == pytest.approx(np.ones(3), abs=1e-5)
    assert near[0, 1] > near[0, 2] + 0.2
    assert found.usage.prompt_tokens == found.usage.total_tokens > 9
    assert encoding.NAME in [model.id for model in client.models.list()]
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=encoding.NAME, input="x", dimensions=8)
    assert caught.value.param == "dimensions"


def based(folder: Path) -> dict[str, dict[str, str]]:
    """Settings of a project whose base is a tiny chat model."""
    chat = plugin("tasks", "chat")
    chat.save(chat.start("", chat.toy(0), 0), folder)
    return {"project": CHAT, "tune": {"base": str(folder)}}


def test_where_another_model_answers_no_base_is_loaded(tmp_path: Path) -> None:
    chosen = {**based(tmp_path / "tiny"), "serve": {"upstream": "http://127.0.0.1:9/v1"}}
    upwell = Upwell(open_project(create_project(tmp_path / "shop", "shop", chosen, bytes(32))))
    assert not upwell.warm()
    assert upwell.project.ledger.versions("chat") == []


def test_a_base_that_talks_is_there_before_it_is_asked(tmp_path: Path) -> None:
    chosen = based(tmp_path / "tiny")
    upwell = Upwell(open_project(create_project(tmp_path / "shop", "shop", chosen, bytes(32))))
    with listening(upwell) as url, httpx2.Client(trust_env=False) as http:
        names = {one["id"] for one in http.get(f"{url}/v1/models").json()["data"]}
    assert {"shop", "shop@champion", wiring.BASE} <= names


def test_the_task_chat_talks_over_http(tmp_path: Path) -> None:
    """A model with random weights says nothing of sense, but says it as every other does."""
    chat = plugin("tasks", "chat")
    upwell = Upwell(open_project(create_project(tmp_path / "real", "real", {"project": CHAT})))
    model = chat.start("", chat.toy(0), 0)
    path, digest = upwell.project.models.write("chat-0", lambda folder: chat.save(model, folder))
    told = ModelVersion("chat-0", "chat", AT, None, "none", {}, None, str(path), digest)
    upwell.project.ledger.add_version(told)
    upwell.project.ledger.decide(Decision("d", "chat-0", "chat", AT, "promote", ()), "chat-0")
    access = Access(upwell.project.journal)
    text, _ = access.create("app", [READ], AT, None, secrets.token_bytes(RANDOM_BYTES))
    with listening(upwell) as url, client_of(url, text) as client:
        found = asked(client, model="real", max_tokens=8)
        parts = list(streamed(client, model="real", max_tokens=8))
        drawn = [
            asked(client, model="real", max_tokens=4, temperature=1, seed=seed).choices[0]
            for seed in (1, 1, 2)
        ]
        with pytest.raises(openai.BadRequestError) as caught:
            asked(client, model="real", messages=[{"role": "assistant", "content": "x"}])
    assert caught.value.code == "chat.role"
    said = "".join(part.choices[0].delta.content or "" for part in parts)
    assert said == found.choices[0].message.content
    assert 1 <= found.usage.completion_tokens <= 8
    assert drawn[0].message.content == drawn[1].message.content != drawn[2].message.content
    rows = answers(upwell)
    assert 0.0 < rows[0]["output"]["scores"][0] <= 1.0
    assert [row["propensity"] == 1.0 for row in rows] == [True, True, False, False, False]
    upwell.project.journal.close()
