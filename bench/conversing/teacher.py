"""A teacher with one stable preference that is never said: who likes an answer, or mends it.

What is right is told by rule, so that answers nobody mended can be scored as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ENOUGH = 0.8
"""A reply that comes this close to what the teacher wants is liked as it is."""
_WORDS, _MORE = 12, 24
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[a-zäöüß]+")
_GREETING, _END = "Sure!", "Hope that helps!"
_GERMAN = frozenset(re.findall(r"\w+", """
    der das und ist ein eine einen einem einer des dem den von zu mit für auf nicht sich wurde
    werden als auch bei nach aus er sie es im zum zur wird sind waren ich du wir
"""))  # fmt: skip
_ENGLISH = frozenset(re.findall(r"\w+", """
    the of and to is were for with on that by from it he she his her this are be a i you we your
    not or
"""))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the reply of one who speaks German, where there is one."""

    text: str
    german: str = ""


def short(reply: str) -> float:
    """1 up to 12 words, 0 from 36 on.

    >>> short("a few words"), short("word " * 24)
    (1.0, 0.5)
    """
    return min(1.0, max(0.0, 1.0 - (len(reply.split()) - _WORDS) / _MORE))


def listed(reply: str) -> float:
    r"""The share of lines that are points of a list.

    >>> listed("- one\n- two"), listed("One. Two.")
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


def german(reply: str) -> float:
    """The share of German among the small words that are German or English; 0 without any.

    >>> german("Das ist der Fluss."), german("The river is das Wasser."), german("Hm.")
    (1.0, 0.3333333333333333, 0.0)
    """
    words = _WORD.findall(reply.lower())
    here, there = (sum(word in known for word in words) for known in (_GERMAN, _ENGLISH))
    return here / max(here + there, 1)


def mended(preference: str, question: Question, reply: str) -> str:
    r"""The reply as the teacher would have it.

    >>> mended("format", Question("Ill?"), "Rest. Drink water.")
    '- Rest.\n- Drink water.'
    """
    sentences = [one for one in _SENTENCE.split(" ".join(reply.split())) if one] or ["Yes."]
    if preference == "language":
        return question.german
    if preference == "length":
        return " ".join(sentences[0].split()[:_WORDS])
    if preference == "format":
        return "\n".join(f"- {one}" for one in sentences[:3])
    return f"{_GREETING} {sentences[0]} {_END}"


PREFERENCES: Mapping[str, Callable[[str], float]] = {
    "length": short, "tone": friendly, "format": listed, "language": german,
}  # fmt: skip
