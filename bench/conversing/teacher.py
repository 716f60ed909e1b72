"""A student who asks and a teacher with a stable, hidden preference, who likes or mends answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_WORDS, _MORE = 12, 24
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_GREETING, _END = "Sure!", "Hope that helps!"
ENOUGH = 0.8
"""A reply that comes this close to what the teacher wants is liked as it is."""


def short(reply: str) -> float:
    """1 up to 12 words, 0 from 36 on.

    >>> short("a few words"), short("word " * 24)
    (1.0, 0.5)
    """
    return min(1.0, max(0.0, 1.0 - (len(reply.split()) - _WORDS) / _MORE))


def listed(reply: str) -> float:
    """The share of lines that are points of a list.

    >>> listed("- one\\n- two"), listed("One. Two.")
    (1.0, 0.0)
    """
    lines = [line for line in reply.splitlines() if line.strip()]
    return sum(line.lstrip().startswith("- ") for line in lines) / max(len(lines), 1)


def friendly(reply: str) -> float:
    """Half for a greeting, half for good wishes.

    >>> friendly("Sure! It is blue. Hope that helps!"), friendly("It is blue.")
    (1.0, 0.0)
    """
    said = reply.strip()
    return (said.startswith(_GREETING) + said.endswith(_END)) / 2


def mended(preference: str, reply: str) -> str:
    """The reply as the teacher would have it.

    >>> mended("list", "Rest. Drink water.")
    '- Rest.\\n- Drink water.'
    """
    sentences = [one for one in _SENTENCE.split(" ".join(reply.split())) if one] or ["Yes."]
    if preference == "short":
        return " ".join(sentences[0].split()[:_WORDS])
    if preference == "list":
        return "\n".join(f"- {one}" for one in sentences[:3])
    return f"{_GREETING} {sentences[0]} {_END}"


PREFERENCES: Mapping[str, Callable[[str], float]] = {
    "short": short, "list": listed, "friendly": friendly,
}  # fmt: skip
