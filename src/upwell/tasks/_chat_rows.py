"""Conversations as rows hold them: messages as JSON, or a plain text, which is one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from upwell.conversation import Messages, listed
from upwell.errors import StageError

__all__ = ["ROLES", "Messages", "can_be_read", "checked", "in_turn", "messages", "since", "starts"]
ROLES = ("system", "user", "assistant")


def messages(text: str) -> Messages:
    """The conversation in an ``input``: JSON of messages with ``role`` and ``content``, or a text.

    Raises StageError ``chat.empty`` or ``chat.role`` (see ``checked``).

    >>> messages("hello")
    [{'role': 'user', 'content': 'hello'}]
    >>> messages('[{"role":"user","content":"hello"}]')
    [{'role': 'user', 'content': 'hello'}]
    """
    found = listed(text)
    return checked([{"role": "user", "content": text}] if found is None else found)


def checked(told: Sequence[Mapping[str, object]]) -> Messages:
    """The same messages, where somebody said something that a reply can be given to.

    Raises StageError ``chat.empty`` where there is none or the last one is blank, and ``chat.role``
    where a role is not one of ``ROLES``, a content is no text, or the last word is not the user's.
    """
    if not told:
        raise StageError("chat.empty", messages=0)
    for place, one in enumerate(told):
        if one.get("role") not in ROLES or not isinstance(one.get("content"), str):
            role = str(one.get("role"))[:40]
            raise StageError("chat.role", role=role, place=place + 1, known=", ".join(ROLES))
    last = told[-1]
    if not str(last["content"]).strip():
        raise StageError("chat.empty", messages=len(told))
    if last["role"] != "user":
        raise StageError("chat.role", role=last["role"], place=len(told), known="user")
    return [{"role": str(one["role"]), "content": str(one["content"])} for one in told]


def can_be_read(text: str, reply: str) -> bool:
    """Whether the input is a conversation and the reply to it says anything."""
    try:
        messages(text)
    except StageError:
        return False
    return bool(reply.strip())


def starts(told: Messages) -> list[int]:
    """Where the conversation can begin without what is oldest: users' words, as templates ask for.

    >>> starts([{"role": role, "content": ""} for role in ("system", "user", "assistant", "user")])
    [3]
    """
    said = [place for place, one in enumerate(told) if one["role"] != "system"]
    return [place for place in said[1:] if told[place]["role"] == "user"]


def since(told: Messages, start: int) -> Messages:
    """The conversation from there on; what the system says stays.

    >>> said = [("system", "be kind"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    >>> [one["content"] for one in since([{"role": r, "content": c} for r, c in said], 3)]
    ['be kind', 'c']
    """
    system = [one for one in told if one["role"] == "system"]
    return [*system, *(one for one in told[start:] if one["role"] != "system")]


def in_turn(told: Messages) -> Messages:
    """The same words by users and assistants in turn: what the system says, a user does.

    >>> said = [("system", "be kind"), ("user", "a"), ("user", "b"), ("assistant", "c")]
    >>> [one["content"].split() for one in in_turn([{"role": r, "content": c} for r, c in said])]
    [['be', 'kind', 'a', 'b'], ['c']]
    """
    found: Messages = []
    for one in told:
        role = "user" if one["role"] == "system" else one["role"]
        if found and found[-1]["role"] == role:
            found[-1]["content"] += f"\n\n{one['content']}"
        else:
            found.append({"role": role, "content": one["content"]})
    return found
