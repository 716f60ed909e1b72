"""Chat templates of other people's models: Jinja programs that must do nothing but format.

Jinja's sandbox keeps them from Python's insides. What it does not stop is a template that never
ends or fills the memory; so here loops, calls and look-ups are counted, and no text that is made
on the way may be longer than conversations are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Self

from jinja2 import Environment, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from upwell.errors import StageError

PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
"""For a model that was never taught to converse and has no template."""
LONGEST = 1 << 22
"""Characters of a text: four times those of the longest conversation."""
STEPS = 500_000
FILTERS = frozenset({
    "trim", "tojson", "length", "count", "list", "string", "join", "lower", "upper", "capitalize",
    "title", "first", "last", "default", "d", "items", "safe", "int", "float", "map", "select",
    "reject", "selectattr", "rejectattr", "sort", "unique", "dictsort", "reverse",
})  # fmt: skip
METHODS = frozenset({
    "strip", "lstrip", "rstrip", "split", "rsplit", "startswith", "endswith", "replace", "items",
    "keys", "values", "get", "lower", "upper", "title", "capitalize", "index", "find", "count",
})  # fmt: skip
_COUNTED, _OPERATORS = "counted", frozenset({"+", "*", "**", "%"})
_steps: ContextVar[int] = ContextVar("steps", default=0)


class Template:
    """A chat template that can be rendered by itself, in bounded time and space.

    Raises StageError ``chat.template`` where it is no Jinja or uses what does not format.
    """

    def __init__(self, source: str, words: Mapping[str, str]) -> None:
        self._words = dict(words)
        if len(source) > LONGEST:
            raise StageError("chat.template", why=f"{len(source)} > {LONGEST}")
        token = _steps.set(0)
        try:
            self._compiled = _Formatting().from_string(source)
        except (TemplateError, RecursionError, MemoryError) as error:
            raise StageError("chat.template", why=_why(error)) from error
        finally:
            _steps.reset(token)

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing changes it, and what Jinja compiles cannot be copied.
        return self

    def render(self, messages: Sequence[Mapping[str, str]], asks: bool) -> str:
        """The messages as one text; with ``asks``, up to where the reply begins.

        Raises StageError ``chat.template`` where the template refuses them or does too much.
        """
        given = {**self._words, "messages": [dict(one) for one in messages], "tools": None,
                 "documents": None, "add_generation_prompt": asks}  # fmt: skip
        token, parts, size = _steps.set(0), list[str](), 0
        try:
            for part in self._compiled.generate(given):
                size += len(part)
                _step(part, size)
                parts.append(part)
        except Exception as error:
            # A template is a foreign program: whatever it raises, it could not format.
            raise StageError("chat.template", why=_why(error)) from error
        finally:
            _steps.reset(token)
        return "".join(parts)


class _Formatting(ImmutableSandboxedEnvironment):
    """Jinja as transformers has it for chat templates, with every loop and text counted."""

    intercepted_binops = _OPERATORS

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        kept = {name: _watched(self.filters[name]) for name in FILTERS}
        self.filters = {**kept, "join": _join, "tojson": _to_json, _COUNTED: _counted}
        spare = self.globals
        self.globals = {"namespace": spare["namespace"], "dict": spare["dict"],
                        "raise_exception": _refuse, "strftime_now": _now}  # fmt: skip

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _told(super()._parse(source, name, filename))

    def getattr(self, obj: Any, attribute: str) -> Any:
        return _step(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return _step(super().getitem(obj, argument))

    def call(self, context: Any, obj: Any, /, *told: Any, **named: Any) -> Any:
        """A call, of methods that format alone."""
        owner: Any = getattr(obj, "__self__", None)
        name = getattr(obj, "__name__", "")
        if isinstance(owner, str | bytes | list | dict | tuple) and name not in METHODS:
            raise SecurityError(f".{name}()")
        if name == "replace" and len(told) > 1:
            _fits(len(owner) + (owner.count(told[0]) + 1) * len(str(told[1])))
        return _step(super().call(context, obj, *told, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Addition, multiplication and remainder; texts and lists are only ever added."""
        sized = [len(one) for one in (left, right) if hasattr(one, "__len__")]
        if operator != "+" and (sized or operator == "**"):
            raise SecurityError(operator)
        _fits(sum(sized))
        if not sized and abs(left) + abs(right) > LONGEST:
            raise SecurityError(operator)
        return _step(super().call_binop(context, operator, left, right))


class _Generation(Extension):
    """The block by which transformers marks what an assistant said; it changes nothing."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """What stands inside."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _told(tree: nodes.Template) -> nodes.Template:
    """The program with its loops counted; ``~`` becomes ``|join``, whose length is watched."""
    for kind in (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block):
        for found in tree.find_all(kind):
            raise SecurityError(type(found).__name__.lower())
    for loop in [*tree.find_all(nodes.For)]:
        loop.iter = _through(loop.iter, _COUNTED)
    _joined(tree)
    return tree


def _joined(node: nodes.Node) -> None:
    for name, value in [*node.iter_fields()]:
        listed = value if isinstance(value, list) else [value]
        changed = [
            _through(nodes.List(one.nodes, lineno=one.lineno), "join")
            if isinstance(one, nodes.Concat)
            else one
            for one in listed
        ]
        setattr(node, name, changed if isinstance(value, list) else changed[0])
        for child in changed:
            if isinstance(child, nodes.Node):
                _joined(child)


def _through(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _step(found: Any, size: int | None = None) -> Any:
    """What was found, one step later. Raises SecurityError after too many, or if it is too long."""
    _steps.set(_steps.get() + 1)
    if _steps.get() > STEPS:
        raise SecurityError(f"> {STEPS} steps")
    _fits(len(found) if size is None and isinstance(found, str | list | tuple) else size or 0)
    return found


def _fits(size: int) -> None:
    if size > LONGEST:
        raise SecurityError(f"{size} > {LONGEST}")


def _counted(found: Iterable[Any]) -> Iterator[Any]:
    for one in found if found is not None else ():
        yield _step(one)


def _watched(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its result watched; how Jinja calls it stays as it was."""

    def watched(*told: Any, **named: Any) -> Any:
        return _step(filter_(*told, **named))

    watched.__dict__.update(getattr(filter_, "__dict__", {}))
    return watched


def _join(found: Iterable[Any], between: str = "") -> str:
    parts = [str(_step(one)) for one in found]
    _fits(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def _to_json(found: Any, indent: int | None = None, **named: Any) -> str:
    text = json.dumps(found, ensure_ascii=False, indent=min(indent, 8) if indent else None)
    return str(_step(text))


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form[:64])


def _refuse(why: str) -> str:
    raise TemplateError(why)


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
