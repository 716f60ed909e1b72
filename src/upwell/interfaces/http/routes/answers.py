"""Answers: what the model that serves says, and how it came to say it."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any, cast

from starlette.responses import JSONResponse, Response

from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.questions import Question
from upwell.interfaces.http.schemas import ANSWER, QUESTION
from upwell.interfaces.reasons import told as reason_of
from upwell.records import LONGEST_ID, Json
from upwell.store.access import READ

MOST = 1000
"""Answers to one question."""
VERBS = {"recommend": "recommend", "text_classification": "classify", "tabular": "classify",
         "tagging": "tag", "rating": "rate"}  # fmt: skip
_FIELDS = ("user", "input", "k", "personalize")


async def predict(asked: Asked) -> Response:
    """An answer to one user's question."""
    began = monotonic()
    task = asked.desk.upwell.project.settings.project.task
    verb = VERBS.get(task, task)
    if asked.request.path_params["task"] not in (verb, task):
        raise RequestError("http.other_task", 404, serves=verb)
    sent = await asked.mapping()
    for name in sent:
        if name not in _FIELDS:
            raise RequestError("http.unknown_field", 400, field=name[:80], value="")
    answer = await answered(
        asked, sent.get("user"), sent.get("input"), sent.get("k"), verb,
        personalize=sent.get("personalize"),
    )  # fmt: skip
    asked.desk.meters.inference.add(monotonic() - began)
    return JSONResponse(answer)


async def answered(
    asked: Asked,
    user: object,
    question: object,
    k: object,
    verb: str,
    *,
    personalize: object = None,
) -> dict[str, Any]:
    """The answer, recorded before it is given. Raises RequestError 400, 429, 503."""
    who = asker(user)
    size = _size(k, asked.desk.upwell.project.settings.serve.k if verb == "recommend" else 1)
    known = _yes("personalize", personalize)
    asked.spend(1, [who])
    if verb != "recommend" and question is None:
        raise RequestError("http.missing", 400, field="input")
    said = None if verb == "recommend" else cast("Json", question)
    found = await asked.desk.questions.ask(Question(who, said, size, known))
    return _document(found, asked.lang)


def _document(rows: list[Mapping[str, Any]], lang: str) -> dict[str, Any]:
    """The answer as a document. Where nothing is sure enough there is a reason and no answer."""
    first = rows[0] if rows else {}
    found = [_one(row, lang) for row in rows]
    silent = len(found) == 1 and found[0]["output"] == ""
    return {
        "prediction": first.get("prediction"),
        "model": first.get("model"),
        "propensity": first.get("propensity"),
        "answers": [] if silent else found,
        "reason": found[0]["reason"] if silent else None,
    }


def _one(row: Mapping[str, Any], lang: str) -> dict[str, Any]:
    score = row["score"] if "item" in row else row["probability"]
    named = {"title": row["title"]} if "title" in row else {}
    output = row["item"] if "item" in row else row["answer"]
    return {
        "output": output,
        **named,
        "score": score,
        "reason": reason_of(row["reason"] or "", lang),
    }


def _yes(name: str, value: object) -> bool:
    """A yes or no that is yes unless said otherwise."""
    if value is None or isinstance(value, bool):
        return value is not False
    raise RequestError("http.yes_or_no", 400, field=name)


def asker(value: object) -> str:
    """Who asks. Raises RequestError 400 for what is no user's id."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RequestError("http.missing", 400, field="user")
    text = str(value)
    if not text.strip() or len(text) > LONGEST_ID or "\x00" in text or not _is_unicode(text):
        raise RequestError("record.bad_id", 400, field="user", value=ascii(text[:40]),
                           longest=LONGEST_ID)  # fmt: skip
    return text


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _size(value: object, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise RequestError("http.number", 400, field="k", low=1, high=MOST)
    return value


ROUTES = (
    Spec("POST", "/v1/predict/{task}", READ, predict, "http.route.predict", QUESTION, ANSWER),
)
