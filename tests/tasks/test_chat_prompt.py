"""What of a conversation a prompt holds: the most that fits, found without reading it often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.chatting import MODEL, said

from upwell.errors import StageError
from upwell.tasks._chat_rows import Messages
from upwell.tasks._chat_template import Template

TALKS = {
    "in turn": [("user", "one " * 9), ("assistant", "two"), ("user", "three"),
                ("assistant", "four " * 7), ("user", "five")],
    "a system that speaks later": [("user", "a " * 20), ("system", "be kind"), ("user", "b"),
                                   ("user", "c"), ("system", "be short"), ("user", "d")],
    "who is asked begins": [("assistant", "hi " * 8), ("user", "a"), ("assistant", "b " * 8),
                            ("assistant", "c"), ("user", "d")],
    "a system first": [("system", "be kind"), ("user", "a " * 9), ("assistant", "b"),
                       ("user", "d")],
    "one word": [("user", "hello " * 5)],
}  # fmt: skip


def each(told: Messages) -> Iterator[Messages]:
    """The conversation, and what is left of it each time that its oldest word is left off."""
    yield told
    system = [one for one in told if one["role"] == "system"]
    rest = [one for one in told if one["role"] != "system"]
    while rest := rest[1:]:
        if rest[0]["role"] == "user":
            yield [*system, *rest]


@pytest.mark.parametrize("name", TALKS)
def test_a_prompt_is_the_longest_that_fits(name: str) -> None:
    told = said(*TALKS[name])
    ways = [MODEL.prompt(left, 10_000) for left in each(told)]
    shortest = len(ways[-1])
    for room in range(shortest, len(ways[0]) + 1):
        assert MODEL.prompt(told, room) == next(ids for ids in ways if len(ids) <= room)
    with pytest.raises(StageError, match=r"chat.too_long") as refused:
        MODEL.prompt(told, shortest - 1)
    assert refused.value.details == {"tokens": shortest, "room": shortest - 1}


@pytest.mark.parametrize("fits", [True, False])
def test_a_long_conversation_is_rendered_a_few_times(
    fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = Template.render

    def watched(template: Template, messages: Messages, asks: bool) -> str:
        seen.append(len(messages))
        return real(template, messages, asks)

    monkeypatch.setattr(Template, "render", watched)
    told = said(*[("user", "a"), ("assistant", "b")] * 500, ("user", "c"))
    if fits:
        MODEL.prompt(told, 100)
    else:
        with pytest.raises(StageError, match=r"chat.too_long"):
            MODEL.prompt(told, 1)
    assert len(seen) <= 12
    assert sum(seen) <= 3 * len(told)


STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}] {{ m.content }}\n"
    "{% endfor %}[assistant]"
)


def test_a_template_without_system_messages_has_them_in_the_first_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MODEL, "template", Template(STRICT, {}))
    told = said(("system", "be kind"), ("user", "a"), ("user", "b"))
    plain = said(("user", "be kind\n\na\n\nb"))
    assert MODEL.prompt(told, 1000) == MODEL.prompt(plain, 1000)
    with pytest.raises(StageError, match=r"chat.refused"):
        MODEL.prompt(said(("assistant", "hi"), ("user", "a")), 1000)
