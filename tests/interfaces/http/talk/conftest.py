"""A project that talks behind a real socket, and OpenAI's own client of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk
from tests import talking
from tests.talking import AT, Talker, add, listening

from upwell.service import Upwell
from upwell.store.access import RANDOM_BYTES, READ, WRITE, Access

Parts = openai.Stream[ChatCompletionChunk]
HELLO: list[Any] = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Talker:
    return talking.install(monkeypatch)


@pytest.fixture
def upwell(tmp_path: Path, task: Talker) -> Iterator[Upwell]:
    found = talking.opened(tmp_path / "shop")
    add(found, "talker-0")
    yield found
    found.project.journal.close()


@pytest.fixture
def url(upwell: Upwell) -> Iterator[str]:
    with listening(upwell) as found:
        yield found


def client_of(url: str, key: str) -> OpenAI:
    # The environment of a machine may name a proxy, which is not for tests.
    return OpenAI(
        base_url=f"{url}/v1", api_key=key, max_retries=0,
        http_client=httpx2.Client(trust_env=False, timeout=20),
    )  # fmt: skip


@pytest.fixture
def key(upwell: Upwell) -> str:
    access = Access(upwell.project.journal)
    return access.create("app", [READ, WRITE], AT, None, secrets.token_bytes(RANDOM_BYTES))[0]


@pytest.fixture
def client(url: str, key: str) -> Iterator[OpenAI]:
    with client_of(url, key) as found:
        yield found


def streamed(client: OpenAI, content: str = "hello there", **more: Any) -> Parts:
    messages: list[Any] = [{"role": "user", "content": content}]
    found = client.chat.completions.create(
        **{"model": "shop", "messages": messages, "stream": True, **more}
    )
    return cast("Parts", found)


def asked(client: OpenAI, content: str = "hello there", **more: Any) -> Any:
    messages: list[Any] = [{"role": "user", "content": content}]
    return client.chat.completions.create(**{"model": "shop", "messages": messages, **more})


def said(url: str, key: str, about: str, metric: str, value: object) -> None:
    """Feedback over HTTP, as a browser or a backend sends it."""
    sent = {"inference_id": about, "metric_name": metric, "value": value}
    with httpx2.Client(trust_env=False) as http:
        answer = http.post(f"{url}/v1/feedback", json=sent, headers={"x-api-key": key})
    assert answer.status_code == 202, answer.text
