"""Keys: made once, kept as digests, ended for ever; and the command that makes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from upwell.errors import InterfaceError, StoreError
from upwell.interfaces.cli.commands import serve
from upwell.interfaces.cli.here import Here
from upwell.interfaces.cli.main import run
from upwell.service import Upwell
from upwell.store.access import ADMIN, PUBLISHABLE, RANDOM_BYTES, READ, WRITE, Access

pytestmark = pytest.mark.usefixtures("database")
NOW = datetime(2026, 5, 1, tzinfo=UTC)
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def access(upwell: Upwell) -> Access:
    return Access(upwell.project.journal)


def drawn(n: int) -> bytes:
    return bytes((n + place) % 256 for place in range(RANDOM_BYTES))


def test_a_key_is_found_by_its_whole_text_alone(access: Access) -> None:
    text, made = access.create("shop", [WRITE, READ], NOW, None, drawn(1))
    assert access.find(text) == made
    assert made.scopes == (WRITE, READ)
    wrongs = [text[:-1], text + "A", text[:-1] + ("A" if text[-1] != "A" else "B"), "", "up-",
              text.upper(), f"up-{made.public}-", "' OR 1=1 --", text + "\n"]  # fmt: skip
    assert [access.find(wrong) for wrong in wrongs] == [None] * len(wrongs)


def test_a_key_ends_once_and_for_all(access: Access) -> None:
    until = NOW + timedelta(days=9)
    text, made = access.create("shop", [WRITE], NOW, until, drawn(1))
    access.end(made.public, NOW + timedelta(days=2))
    access.end(made.public, NOW + timedelta(days=5))
    found = access.find(text)
    assert found is not None
    assert found.until == NOW + timedelta(days=2)
    assert found.is_valid(NOW + timedelta(days=1))
    assert not found.is_valid(NOW + timedelta(days=2))


@pytest.mark.parametrize("scopes", [[], ["root"], [PUBLISHABLE, READ], [WRITE, "root"]])
def test_scopes_that_make_no_sense_are_refused(access: Access, scopes: list[str]) -> None:
    with pytest.raises(StoreError) as refused:
        access.create("shop", scopes, NOW, None, drawn(1))
    assert refused.value.code == "access.bad_scopes"


def answer(printed: Printed, *arguments: str, code: int = 0) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(printed.readouterr().out)
    return found


def test_the_command_makes_lists_rotates_and_revokes(upwell: Upwell, capsys: Printed) -> None:
    place = ("-p", str(upwell.project.folder))
    made = answer(capsys, "keys", "create", "web", "--scope", "publishable", "--days", "30", *place)
    text, public = made["secret"], made["key"]["public"]
    access = Access(upwell.project.journal)
    assert access.find(text) is not None
    turned = answer(capsys, "keys", "rotate", public, "--overlap", "1", *place)
    assert turned["key"]["scopes"] == ["publishable"]
    assert turned["old"]["valid"] is True
    answer(capsys, "keys", "revoke", turned["key"]["public"], *place)
    listed = answer(capsys, "keys", *place)["keys"]
    assert [one["valid"] for one in listed] == [True, False]
    assert run(["keys", *place]) == 0
    assert text not in capsys.readouterr().out
    for wrong in (("create",), ("end", "x"), ("revoke", "nothing")):
        assert "error" in answer(capsys, "keys", *wrong, *place, code=2)


def test_a_service_for_others_never_begins_without_a_key(upwell: Upwell) -> None:
    here = Here(upwell.project.folder, True, "en")
    with pytest.raises(InterfaceError) as refused:
        serve._first_key(upwell.project, here)
    assert refused.value.code == "http.needs_key"
    access = Access(upwell.project.journal)
    access.create("ops", [ADMIN], datetime.now(UTC), None, drawn(1))
    serve._first_key(upwell.project, here)


def test_help_shows_examples_in_both_languages(capsys: Printed) -> None:
    for name in ("serve", "keys"):
        for lang in ("en", "zh"):
            assert run([name, "--help", "--lang", lang]) == 0
            assert f"upwell {name}" in capsys.readouterr().out
