"""Who answers: what serves, who is named, each user's version in a trial, whatever is promoted."""

from __future__ import annotations

import openai
import pytest
from openai import OpenAI
from tests import talking
from tests.interfaces.http.talk.conftest import asked, streamed
from tests.talking import AT, add, answers

from upwell.service import Upwell
from upwell.store.trials import Trials
from upwell.wiring import trials


def test_a_stream_goes_on_with_the_version_that_it_began_with(
    client: OpenAI, upwell: Upwell
) -> None:
    stream = streamed(client, "endless", max_tokens=100)
    first = next(stream)
    for number in range(1, 6):
        add(upwell, f"talker-{number}")
        asked(client)
    rest = list(stream)
    assert {part.model for part in [first, *rest]} == {"talker-0"}
    assert rest[-1].choices[0].finish_reason == "stop"
    assert asked(client).model == "talker-5"
    assert {row["model"] for row in answers(upwell)} == {f"talker-{n}" for n in range(6)}


def test_models_are_listed_and_named(client: OpenAI, upwell: Upwell) -> None:
    add(upwell, "talker-1", promote=False)
    names = [model.id for model in client.models.list()]
    assert names[:4] == ["shop", "shop@champion", "talker-1", "talker-0"]
    trials.start(upwell.project, "talker-1", AT, id="try", mode="ab")
    assert "shop@challenger" in [model.id for model in client.models.list()]
    assert client.models.retrieve("shop@challenger").owned_by == "shop"
    for name, model, variant in (
        ("shop@champion", "talker-0", "champion"), ("shop@challenger", "talker-1", "challenger"),
        ("talker-1", "talker-1", "challenger"), ("talker-0", "talker-0", "champion"),
    ):  # fmt: skip
        found = asked(client, model=name, user="ann")
        assert (found.model, found.model_extra["upwell"]["variant"]) == (model, variant)
    assert asked(client, extra_body={"upwell::variant": "challenger"}).model == "talker-1"
    assert {row["policy"] for row in answers(upwell)} == {"greedy"}
    with pytest.raises(openai.NotFoundError) as caught:
        asked(client, model="gpt-4o")
    assert caught.value.code == "model_not_found"
    assert "shop@champion" in caught.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o/../x")


def test_in_a_trial_each_user_meets_their_version_with_its_probability_logged(
    client: OpenAI, upwell: Upwell
) -> None:
    add(upwell, "talker-1", promote=False)
    trials.start(upwell.project, "talker-1", AT, id="try", mode="ab", share=0.3)
    for number in range(30):
        found = asked(client, user=f"u{number}")
        again = asked(client, user=f"u{number}")
        assert found.model == again.model
        told = found.model_extra["upwell"]
        is_new = told["variant"] == "challenger"
        assert told["propensity"] == pytest.approx(0.3 if is_new else 0.7)
        assert told["model_version"] == ("talker-1" if is_new else "talker-0")
    rows = answers(upwell)
    assert {row["model"] for row in rows} == {"talker-0", "talker-1"}
    assert {row["policy"] for row in rows} == {"ab"}
    assert all(row["output"]["trial"] == {"id": "try", "chance": 0.3} for row in rows)
    nobody = asked(client)
    assert nobody.model == "talker-0"
    assert "trial" not in answers(upwell)[-1]["output"]


def test_a_challenger_that_fails_ends_its_trial_and_the_champion_answers(
    client: OpenAI, upwell: Upwell
) -> None:
    add(upwell, "talker-1", promote=False)
    trials.start(upwell.project, "talker-1", AT, id="try", mode="ab", share=0.9)
    for number in range(20):
        assert asked(client, "break talker-1", user=f"u{number}").model == "talker-0"
    (trial,) = Trials(upwell.project.journal).all(talking.TASK)
    assert trial.outcome == "rollback"
