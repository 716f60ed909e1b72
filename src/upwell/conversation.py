"""A conversation as a row holds it: the text of a user's lone message, else messages as JSON."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

Messages: TypeAlias = "list[dict[str, str]]"
Input: TypeAlias = "str | Messages"


def listed(text: str) -> list[dict[str, Any]] | None:
    r"""The messages, not checked, that a text is JSON of; None where it is a text like any other.

    So is one whose messages hold half a character, which no tokenizer reads and no file keeps.

    >>> listed("hello"), listed('[{"role":"user","content":"hello"}]')
    (None, [{'role': 'user', 'content': 'hello'}])
    >>> listed('[{"role":"user","content":"half: \\ud83d"}]')
    """
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return found if are_messages(found) else None


def are_messages(value: object) -> bool:
    """Whether a value of JSON is a list of what may be messages; an empty one is."""
    return isinstance(value, list) and all(
        isinstance(one, dict) and {"role", "content"} <= one.keys() for one in value
    )


def input_of(asked: Messages) -> Input:
    """Messages as an input. Raises ValueError where the last word is not a user's.

    A text that could be taken for messages stays a message.
    """
    if not asked or asked[-1]["role"] != "user":
        raise ValueError("user")
    is_lone = len(asked) == 1 and not asked[0]["content"].lstrip().startswith("[")
    return asked[0]["content"] if is_lone else asked
