"""Conversations as rows hold them: messages as JSON, or a plain text, which is one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from upwell.conversation import Messages, listed
from upwell.errors import StageError

__all__ = ["ROLES", "Messages", "can_be_read", "checked", "messages", "shortened"]
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


def shortened(told: Messages) -> Messages | None:
    """The conversation without what is oldest; None where only the last word would be left off.

    What the system says stays, and what is left begins with a user's word, as templates ask for.

    >>> said = [("system", "be kind"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    >>> [one["content"] for one in shortened([{"role": r, "content": c} for r, c in said])]
    ['be kind', 'c']
    """
    system = [one for one in told if one["role"] == "system"]
    said = [one for one in told if one["role"] != "system"]
    users = [place for place, one in enumerate(said) if one["role"] == "user" and place]
    return [*system, *said[users[0] :]] if users else None
