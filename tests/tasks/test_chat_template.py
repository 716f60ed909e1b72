from __future__ import annotations

import tracemalloc
from pathlib import Path
from time import perf_counter

import pytest

from upwell.errors import StageError
from upwell.tasks import chat
from upwell.tasks._chat_template import LONGEST, PLAIN, TOGETHER, Template

TOLD = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}] * 12
LOOP, END = "{% for m in messages %}", "{% endfor %}"
NESTED = "".join(f"{{% for m{n} in messages %}}" for n in range(9))
SPACE = "{% set ns = namespace(s='aa') %}"
DOUBLED = (
    "{% set ns = namespace(s='a,', l=[]) %}{% for c in 'aaaaaaaaaaaaaaaaaa' %}"
    "{% set ns.s = ns.s ~ ns.s %}{% endfor %}"
)
BEGUN = "{% set ns = namespace(l=[]) %}"
KEEPING = f"{{% for c in '{'a' * 600}' %}}"

HOSTILE = {
    "insides": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "insides by name": "{{ messages['__class__'].mro() }}",
    "format": "{{ '{0.__class__}'.format(messages) }}{{ nothing.at.all }}",
    "change": "{{ messages.append(1) }}",
    "change a dict": "{% set d = {} %}{% set _ = d.update({'a': 1}) %}",
    "files": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "inherit": "{% extends 'x' %}",
    "range": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "loops": NESTED + END * 9,
    "output": NESTED + "x" + END * 9,
    "recursion": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "multiply": "{{ 'a' * 1000000000 }}",
    "multiply lists": "{{ [1] * 1000000000 }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "numbers": SPACE + "{% set ns.s = 3 %}" + (LOOP + "{% set ns.s = ns.s * ns.s %}" + END) * 3,
    "percent": "{{ '%1000000000d' % 1 }}",
    "center": "{{ 'a'.center(1000000000) }}",
    "center as a filter": "{{ 'a'|center(1000000000) }}",
    "a filter by name": "{{ messages|map('center', 1000000000)|list }}",
    "add": SPACE + LOOP + "{% set ns.s = ns.s + ns.s %}" + END,
    "concatenate": SPACE + LOOP + "{% set ns.s = ns.s ~ ns.s %}" + END,
    "join": SPACE + LOOP + "{% set ns.s = [ns.s, ns.s]|join %}" + END,
    "replace": "{% set a = 'a' * 1 + 'a' %}{% set a = 'aaaaaaaaaaaa' %}"
    + "{% set a = a.replace('a', a) %}" * 8,
    "replace everywhere": "{% set a = 'aaaaaaaaaaaa' %}" + "{% set a = a.replace('', a) %}" * 8,
    "many lists": DOUBLED + KEEPING + "{% set ns.l = ns.l + [ns.s.split(',')] %}" + END,
    "many slices": DOUBLED + KEEPING + "{% set ns.l = [ns.l, ns.s[1:]] %}" + END,
    "many texts": DOUBLED + KEEPING + "{% set ns.l = [ns.l, ns.s ~ 'a'] %}" + END,
    "many literals": BEGUN + KEEPING + f"{{% set ns.l = [ns.l, {[1] * 8000}] %}}" + END,
    "many constants": BEGUN + KEEPING + f"{{% set ns.l = [ns.l, '{'a' * 8000}'|list] %}}" + END,
    "a long block": DOUBLED + "{% set x %}" + KEEPING + "{{ ns.s }}" + END + "{% endset %}",
    "a long macro": DOUBLED
    + "{% macro f() %}"
    + KEEPING
    + "{{ ns.s }}"
    + END
    + "{% endmacro %}{{ f() }}",
    "copies": "{% set d = namespace(messages) %}",
    "spare functions": "{{ lipsum(n=1000000) }}",
    "no Jinja": "{% for %}",
    "a deep one": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_template_that_does_more_than_format_is_refused_soon(name: str) -> None:
    began = perf_counter()
    with pytest.raises(StageError, match=r"chat.template"):
        Template(HOSTILE[name], {}).render(TOLD, True)
    assert perf_counter() - began < 60


FRIENDLY = {
    PLAIN: "user: hello\n\nassistant: hi\n\n" * 12 + "assistant:",
    "{{ bos_token }}" + LOOP + "{{ m.role|upper }}" + "{% break %}" + END: "<s>USER",
    LOOP + "{% if loop.last %}{{ loop.length }}{{ loop.previtem.content }}{% endif %}" + END: (
        "24hello"
    ),
    "{% set ns = namespace(n=0, s='') %}" + LOOP + "{% if m['role'] == 'user' %}"
    "{% set ns.n = ns.n + 1 %}{% set ns.s = ns.s ~ m.content[0] %}{% endif %}"
    + END + "{{ ns.n ~ ns.s }}": "12" + "h" * 12,
    "{% for m in messages[::-1] %}{% if loop.first %}{{ m.content.strip() }}{% endif %}" + END: (
        "hi"
    ),
    "{% macro w(c) %}[{{ c|trim }}]{% endmacro %}{{ w(messages[0]['content'] + ' ') }}": "[hello]",
    "{% if tools %}x{% endif %}{{ (messages|length - 1) % 2 == 1 }}": "True",
    "{{ {'b': 1, 'a': 'é'}|tojson }}{{ messages[0].get('x', '-') }}": '{"b": 1, "a": "é"}-',
    "{% generation %}g{% endgeneration %}{{ messages[0].content.replace('l', 'L') }}": "gheLLo",
    "{{ strftime_now('x') }}{{ messages|selectattr('role', 'equalto', 'user')|list|length }}": (
        "x12"
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", FRIENDLY)
def test_a_template_that_formats_is_rendered(source: str) -> None:
    assert Template(source, {"bos_token": "<s>"}).render(TOLD, True) == FRIENDLY[source]


def test_a_template_may_refuse_a_conversation() -> None:
    with pytest.raises(StageError, match="roles must alternate"):
        Template("{{ raise_exception('roles must alternate') }}", {}).render(TOLD, True)


def test_long_conversations_are_rendered() -> None:
    told = [{"role": "user", "content": "x" * 100}] * 5000
    assert len(Template(PLAIN, {}).render(told, True)) > 500_000


def test_what_is_made_for_one_conversation_is_bounded_together() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(StageError, match="together"):
            Template(HOSTILE["many lists"], {}).render(TOLD, True)
        assert tracemalloc.get_traced_memory()[1] < 2 * TOGETHER
    finally:
        tracemalloc.stop()


def test_what_one_conversation_costs_is_not_the_next_ones() -> None:
    template = Template(DOUBLED + "{{ messages[0].content }}", {})
    for _ in range(TOGETHER // LONGEST):
        assert template.render(TOLD, True) == "hello"


def test_the_longest_conversation_is_rendered_by_what_templates_do() -> None:
    source = (
        "{% set told = messages[1:] if messages[0].role == 'system' else messages %}"
        "{% for m in told %}{% if m.role not in ['user', 'assistant'] %}{% continue %}{% endif %}"
        "{% set content = m['content']|trim %}{% set first, last = content[:9], content[-9:] %}"
        "{% for later in told[loop.index:] %}{% break %}{% endfor %}"
        "{{ '<' ~ m.role ~ '>' + content.split('</think>')[-1].strip('\\n') + '\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
    )
    for count, size in ((1, 1 << 20), (1000, 1 << 10), (2000, 1 << 9)):
        told = [{"role": "user", "content": "x" * size}] * count
        assert len(Template(source, {}).render(told, True)) > count * size


@pytest.mark.parametrize("source", ["{{ messages.pop() }}", "{{ 'the same for all' }}"])
def test_a_model_whose_template_says_something_else_is_refused(tmp_path: Path, source: str) -> None:
    data = chat.toy(0)
    model = chat.start("", data, 0)
    model.tokenizer.chat_template = source
    chat.save(model, tmp_path)
    with pytest.raises(StageError, match=r"chat.template"):
        list(chat.answer(chat.load(tmp_path), data.test, 1))
