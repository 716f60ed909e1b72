"""Conversations as others write them, as the input and the target of a row.

An input is the text of a lone message of a user, else the list of messages before the reply, each
with ``role`` (``system``, ``user``, ``assistant``) and ``content``. The target is the reply. What
these cannot hold (calls of tools, pictures, an empty reply) raises ValueError, TypeError or
KeyError: a row with a part left out would teach something that nobody said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from upwell.conversation import Input, are_messages, input_of

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TEXTS = ("text", "input_text", "output_text")


def exchange(messages: Sequence[Any]) -> tuple[Input, str]:
    """What was asked and the last reply; replies of ``weight`` 0 are none to learn.

    Where the reply goes on with a tool's answer it was only a step on the way to one.

    >>> exchange([{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}])
    ('2+2?', '4')
    """
    replies = [
        place
        for place, one in enumerate(messages)
        if one["role"] == "assistant" and one.get("weight") != 0
    ]
    if not replies:
        raise ValueError("assistant")
    for one in messages[replies[-1] :]:
        if one["role"] not in _ROLES or _is_call(one):
            raise ValueError(one["role"])
    asked = [message(one) for one in messages[: replies[-1]]]
    return input_of(asked), message(messages[replies[-1]])["content"]


def answered(prompt: object, reply: object) -> tuple[Input, str]:
    """The exchange of a prompt and a reply, each a text or messages; the reply ends it."""
    said = spoken(reply, "assistant")
    if said[-1]["role"] != "assistant":
        raise ValueError(said[-1]["role"])
    return exchange([*spoken(prompt, "user"), *said])


def spoken(value: object, role: str) -> list[Any]:
    """Messages as they are; a text is the one message of ``role``."""
    if isinstance(value, list) and value:
        return value
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    raise TypeError(type(value).__name__)


def message(one: Any) -> dict[str, str]:
    """A message as a row holds it."""
    if _is_call(one):
        raise ValueError("tool_calls")
    text = text_of_parts(one["content"])
    if not text.strip():
        raise ValueError("content")
    text.encode()  # Half of a surrogate pair is no text that could be kept.
    return {"role": _ROLES[one["role"]], "content": text}


def _is_call(one: Any) -> bool:
    return bool(one.get("tool_calls") or one.get("function_call"))


def asked_in(inputs: Any) -> Input | None:
    """What was asked in the arguments of a call: its messages, or its only text; else None.

    >>> asked_in({"question": "2+2?"}), asked_in({"a": 1, "b": 2})
    ('2+2?', None)
    """
    named = inputs.get("messages") if isinstance(inputs, dict) else inputs
    if isinstance(named, list) and (named is not inputs or (named and are_messages(named))):
        return input_of([message(one) for one in named])
    alone = list(inputs.values()) if isinstance(inputs, dict) and len(inputs) == 1 else [inputs]
    return alone[0] if isinstance(alone[0], str) else None


def reply_in(outputs: Any) -> Any:
    """The reply in what a call gave: a message, the first choice, the last of messages; else it.

    >>> reply_in({"choices": [{"message": {"role": "assistant", "content": "4"}}]}), reply_in(4)
    ('4', 4)
    """
    if outputs and are_messages(outputs):
        return message(outputs[-1])["content"]
    if not isinstance(outputs, dict):
        return outputs
    if outputs.get("choices"):
        return message(outputs["choices"][0]["message"])["content"]
    if isinstance(outputs.get("messages"), list):
        return exchange(outputs["messages"])[1]
    is_message = "content" in outputs or outputs.get("tool_calls")
    return message({"role": "assistant", **outputs})["content"] if is_message else outputs


def text_of_parts(content: Any) -> str:
    """The text of a message's content: a text, or a list of parts that are all text."""
    if isinstance(content, str):
        return content
    texts = [part["text"] if part["type"] in _TEXTS else None for part in content]
    if any(not isinstance(text, str) for text in texts):
        raise ValueError("content")
    return "\n".join(map(str, texts))
