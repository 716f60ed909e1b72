"""What is not offered is refused in OpenAI's shape, by status, code and field; nothing is 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests import talking
from tests.interfaces.http.conftest import HERE, LOCAL, desk_of
from tests.talking import Talker, add, answers

from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.interfaces.http.schemas import COMPLETION_ASKED, EMBEDDING_ASKED
from upwell.service import Upwell
from upwell.settings import HttpSettings
from upwell.store.project import create_project, open_project
from upwell.wiring import encoding

CHAT = "/v1/chat/completions"
HELLO = {"role": "user", "content": "hello"}
GOOD: dict[str, Any] = {"model": "shop", "messages": [HELLO]}


@pytest.fixture
def talker(tmp_path: Path, task: Talker) -> Iterator[Upwell]:
    found = talking.opened(tmp_path / "talk", serve={"messages": 5})
    add(found, "talker-0")
    yield found
    found.project.journal.close()


def asking(upwell: Upwell, **chosen: Any) -> TestClient:
    desk = Desk.of(upwell, HttpSettings.model_validate(chosen))
    found = TestClient(application(desk), HERE, client=LOCAL)
    found.app_state["desk"] = desk
    return found


@pytest.fixture
def talk(talker: Upwell) -> Iterator[TestClient]:
    with asking(talker) as found:
        yield found


def error(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    return found


UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"tool_choice": "auto"}, "tool_choice"), ({"functions": []}, "functions"), ({"n": 2}, "n"),
    ({"n": True}, "n"), ({"logprobs": True}, "logprobs"), ({"top_logprobs": 3}, "top_logprobs"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"logit_bias": {"5": 1}}, "logit_bias"), ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"audio": {}}, "audio"), ({"temprature": 1}, "temprature"), ({"upwell::x": 1}, "upwell::x"),
    ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x"),
    ({"messages": [{**HELLO, "name": "Ann"}]}, "messages[0].name"),
    ({"messages": [{"role": "tool", "content": "4"}]}, "messages[0].role"),
    ({"messages": [HELLO, {"role": "assistant", "tool_calls": [{}]}]}, "messages[1].tool_calls"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
     "messages[0].content[0].type=image_url"),
]  # fmt: skip
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"), ({"messages": "hello"}, "messages"),
    ({"messages": [HELLO] * 6}, "messages"), ({"messages": ["x"]}, "messages[0]"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 4}]}, "messages[0].content"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages[0].content"),
    ({"temperature": 3}, "temperature"), ({"temperature": "hot"}, "temperature"),
    ({"temperature": True}, "temperature"), ({"top_p": 0}, "top_p"), ({"top_p": 1.5}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": 10**9}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"), ({"seed": 2**70}, "seed"), ({"seed": "x"}, "seed"),
    ({"stop": ["a"] * 5}, "stop"), ({"stop": [""]}, "stop"), ({"stop": 4}, "stop"),
    ({"stream": "yes"}, "stream"), ({"stream_options": {}}, "stream_options"),
    ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata"),
    ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 65),
    ({"metadata": {"k": "v" * 513}}, "metadata.k"), ({"metadata": {"k": 1}}, "metadata.k"),
    ({"metadata": [1]}, "metadata"), ({"upwell::tags": {"k": {}}}, "upwell::tags.k"),
    ({"store": "no"}, "store"), ({"model": 7}, "model"), ({"model": " "}, "model"),
    ({"upwell::personalize": 1}, "upwell::personalize"),
    ({"upwell::variant": []}, "upwell::variant"),
    ({"upwell::episode_id": "e" * 600}, "upwell::episode_id"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "field"), UNSUPPORTED, ids=lambda one: str(one)[:40])
def test_what_is_not_offered_is_named(talk: TestClient, more: dict[str, Any], field: str) -> None:
    found = talk.post(CHAT, json={**GOOD, **more})
    assert (found.status_code, error(found)["param"]) == (400, field)
    assert error(found)["code"] == "unsupported_parameter"
    assert error(found)["type"] == "invalid_request_error"


@pytest.mark.parametrize(("more", "field"), WRONG, ids=lambda one: str(one)[:40])
def test_a_value_that_cannot_be_is_named(
    talk: TestClient, talker: Upwell, more: dict[str, Any], field: str
) -> None:
    found = talk.post(CHAT, json={**GOOD, **more})
    assert (found.status_code, error(found)["param"]) == (400, field)
    assert error(found)["code"] == "invalid_value"
    assert answers(talker) == []


def test_what_asks_for_nothing_is_taken(talk: TestClient, talker: Upwell) -> None:
    same = {"n": 1, "tools": None, "logprobs": False, "frequency_penalty": 0.0, "logit_bias": {},
            "presence_penalty": 0, "response_format": {"type": "text"}, "stop": None,
            "safety_identifier": "ann", "stream": False, "service_tier": "auto"}  # fmt: skip
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    messages = [{"role": "developer", "content": "Be brief"}, {"role": "user", "content": parts}]
    found = talk.post(CHAT, json={**GOOD, **same, "messages": messages})
    assert found.json()["choices"][0]["message"]["content"] == "talker-0: one two "
    (row,) = answers(talker)
    assert row["user"] == "ann"
    assert [turn["role"] for turn in json.loads(row["input"])] == ["system", "user"]


def test_a_reply_ends_where_it_is_told_to(talk: TestClient) -> None:
    long = [{"role": "user", "content": "one two three four"}]
    for more, text, end in (
        ({"max_tokens": 2}, "talker-0: one ", "length"),
        ({"max_completion_tokens": 3, "max_tokens": 9}, "talker-0: one two ", "length"),
        ({"stop": "three"}, "talker-0: one two ", "stop"),
        ({"stop": ["x", "two"]}, "talker-0: one ", "stop"),
    ):
        choice = talk.post(CHAT, json={**GOOD, "messages": long, **more}).json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (text, end)


def test_nothing_is_kept_of_what_was_said_without_store(talk: TestClient, talker: Upwell) -> None:
    found = talk.post(CHAT, json={**GOOD, "store": False, "user": "ann"}).json()
    assert found["choices"][0]["message"]["content"] == "talker-0: hello "
    (row,) = answers(talker)
    assert (row["id"], row["input"], row["output"]["answers"]) == (found["id"], "", [])
    assert "hello" not in json.dumps(row, default=str)


def test_errors_have_one_shape_whatever_is_wrong(talk: TestClient, talker: Upwell) -> None:
    headers = {"content-type": "application/json"}
    for answer, status, code in (
        (talk.post(CHAT, json={"messages": [HELLO]}), 400, "missing_required_parameter"),
        (talk.post(CHAT, json={**GOOD, "user": " "}), 400, "record.bad_id"),
        (talk.post(CHAT, json={**GOOD, "user": {}}), 400, "missing_required_parameter"),
        (talk.post(CHAT, content=b"{no", headers=headers), 400, "openai.unreadable"),
        (talk.post(CHAT, content=b"[]", headers=headers), 400, "http.no_object"),
        (talk.post(CHAT, content=b"x" * 1_100_000, headers=headers), 413, "http.too_large"),
        (talk.post(CHAT, content=b"{}", headers={"content-type": "text/plain"}), 415,
         "http.wrong_type"),
        (talk.get(CHAT), 405, "http.no_method"),
        (talk.post(CHAT, json={**GOOD, "model": "gpt-4o"}), 404, "model_not_found"),
        (talk.post(CHAT, json={**GOOD, "upwell::variant": "challenger"}), 404, "model_not_found"),
        (talk.get("/v1/models/none"), 404, "model_not_found"),
        (talk.get("/v1/models", headers={"x-api-key": "up-wrong"}), 401, "invalid_api_key"),
    ):  # fmt: skip
        assert (answer.status_code, error(answer)["code"]) == (status, code)
    chinese = talk.post(CHAT, json={**GOOD, "tools": 1}, headers={"accept-language": "zh"})
    assert "不支持" in error(chinese)["message"]
    assert answers(talker) == []


def test_too_many_are_told_when_to_come_again(talker: Upwell) -> None:
    with asking(talker, user_per_second=0.1) as talk:
        sent = {**GOOD, "user": "ann"}
        codes = [talk.post(CHAT, json=sent) for _ in range(3)]
        assert (codes[0].status_code, codes[-1].status_code) == (200, 429)
        assert error(codes[-1])["code"] == "rate_limit_exceeded"
        assert error(codes[-1])["type"] == "rate_limit_error"
        assert int(codes[-1].headers["retry-after"]) >= 1
        desk_of(talk).talkers.is_stopping = True
        busy = talk.post(CHAT, json=GOOD)
        assert (busy.status_code, error(busy)["code"]) == (503, "http.busy")
        assert busy.headers["retry-after"] == "1"
        streamed = talk.post(CHAT, json={**GOOD, "stream": True})
        assert streamed.status_code == 503


@pytest.mark.usefixtures("task")
def test_a_reply_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    talker = talking.opened(tmp_path / "talk", serve={"reply_seconds": 0.5})
    add(talker, "talker-0")
    with asking(talker) as talk:
        stopped_too_long(talk, talker)
    talker.project.journal.close()


def stopped_too_long(talk: TestClient, talker: Upwell) -> None:
    endless = {**GOOD, "messages": [{"role": "user", "content": "endless"}], "max_tokens": 4000}
    late = talk.post(CHAT, json=endless)
    assert (late.status_code, error(late)["code"]) == (504, "openai.late")
    assert answers(talker) == []
    streamed = talk.post(CHAT, json={**endless, "stream": True})
    assert streamed.status_code == 200
    last = [line for line in streamed.text.split("\n\n") if line][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "openai.late"
    (row,) = answers(talker)
    assert row["output"]["cut"] is True


def test_nobody_talks_before_the_first_version_or_where_the_task_does_not(
    tmp_path: Path, task: Talker
) -> None:
    empty = talking.opened(tmp_path / "empty")
    with asking(empty) as talk:
        none = talk.post(CHAT, json=GOOD)
        assert (none.status_code, error(none)["code"]) == (409, "serve.no_champion")
    empty.project.journal.close()
    plain = Upwell(open_project(create_project(tmp_path / "plain", "plain")))
    with asking(plain) as api:
        other = api.post(CHAT, json=GOOD)
        assert (other.status_code, error(other)["code"]) == (404, "serve.not_talking")
        names = [one["id"] for one in api.get("/v1/models").json()["data"]]
        assert names in ([], [encoding.NAME])
    plain.project.journal.close()


def test_texts_become_vectors(talk: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    url, sent = "/v1/embeddings", {"model": encoding.NAME, "input": ["a cat", "a kitten", "tax"]}
    for more, field in (
        ({"input": []}, "input"), ({"input": [1, 2]}, "input"), ({"input": [" "]}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"), ({"tools": 1}, "tools"),
    ):  # fmt: skip
        answer = talk.post(url, json={**sent, **more})
        assert (answer.status_code, error(answer)["param"]) == (400, field)
    unknown = talk.post(url, json={**sent, "model": "text-embedding-3-small"})
    assert (unknown.status_code, error(unknown)["code"]) == (404, "model_not_found")
    monkeypatch.setattr(encoding, "_NEEDED", ("no_such_package",))
    lacking = talk.post(url, json=sent)
    assert (lacking.status_code, error(lacking)["code"]) == (404, "serve.no_encoder")
    assert "no_such_package" in error(lacking)["message"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["shop", "talker-0", "user", "text"])
    | st.sampled_from(["a\x00", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_body_holds_is_answered_or_refused_in_one_shape(
    talk: TestClient, data: st.DataObject
) -> None:
    path, schema = data.draw(st.sampled_from(
        [(CHAT, COMPLETION_ASKED), ("/v1/embeddings", EMBEDDING_ASKED)]
    ))  # fmt: skip
    names = st.sampled_from([*schema["properties"], "tools", "n", "\ud800"])
    body = {**GOOD, **data.draw(st.dictionaries(names, ANYTHING, max_size=3))}
    if path != CHAT and "messages" not in schema["properties"]:
        body.pop("messages", None)
    content = json.dumps(body).encode()
    answer = talk.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code < 500, (body, answer.text)
    if answer.status_code != 200:
        error(answer)
    else:
        assert body["model"] in ("shop", "talker-0")
