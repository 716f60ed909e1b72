"""Chat templates of other people's models: Jinja programs that must do nothing but format.

Jinja's sandbox keeps them from Python's insides. What it does not stop is a template that never
ends or fills the memory; so here loops, calls and look-ups are counted, no text that is made on
the way may be longer than conversations are, and all that is made together has a bound too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
TOGETHER = 64 * LONGEST
"""Characters of all that is made on the way to one text, whether or not it is still held."""
PART = 64
"""Characters for which a part of a list counts: about what a short text of its own takes."""
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
_COUNTED, _MADE, _OPERATORS = "counted", "made", frozenset({"+", "*", "**", "%"})
_steps: ContextVar[int] = ContextVar("steps", default=0)
_size: ContextVar[int] = ContextVar("size", default=0)


class Template:
    """A chat template that can be rendered by itself, in bounded time and space.

    Raises StageError ``chat.template`` where it is no Jinja or uses what does not format.
    """

    def __init__(self, source: str, words: Mapping[str, str]) -> None:
        self._words = dict(words)
        if len(source) > LONGEST:
            raise StageError("chat.template", why=f"{len(source)} > {LONGEST}")
        try:
            with _counting():
                self._compiled = _Formatting().from_string(source)
        except (TemplateError, RecursionError, MemoryError) as error:
            raise StageError("chat.template", why=_why(error)) from error

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing changes it, and what Jinja compiles cannot be copied.
        return self

    def render(self, messages: Sequence[Mapping[str, str]], asks: bool) -> str:
        """The messages as one text; with ``asks``, up to where the reply begins.

        Raises StageError ``chat.refused`` where the template refuses them, as some do a system
        message, and ``chat.template`` where it does too much.
        """
        given = {**self._words, "messages": [dict(one) for one in messages], "tools": None,
                 "documents": None, "add_generation_prompt": asks}  # fmt: skip
        parts, size = list[str](), 0
        try:
            with _counting():
                for part in self._compiled.generate(given):
                    size += len(part)
                    _fits(size)
                    parts.append(_step(part))
        except _RefusedError as error:
            raise StageError("chat.refused", why=str(error)[:200]) from error
        except Exception as error:
            # A template is a foreign program: whatever it raises, it could not format.
            raise StageError("chat.template", why=_why(error)) from error
        return "".join(parts)


class _Formatting(ImmutableSandboxedEnvironment):
    """Jinja as transformers has it for chat templates, with every loop and text counted."""

    intercepted_binops = _OPERATORS

    def __init__(self) -> None:
        # What Jinja works out beforehand would be made anew each time without being counted.
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols],
            optimized=False,
        )  # fmt: skip
        kept = {name: _watched(self.filters[name]) for name in FILTERS}
        self.filters = {
            **kept, "join": _join, "tojson": _to_json, _COUNTED: _counted, _MADE: _made,
        }  # fmt: skip
        spare = self.globals
        self.globals = {"namespace": spare["namespace"], "dict": spare["dict"],
                        "raise_exception": _refuse, "strftime_now": _now}  # fmt: skip

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _told(super()._parse(source, name, filename))

    def concat(self, parts: Iterable[str]) -> str:
        """What a macro or a block says."""
        return _join(parts)

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
        if obj is self.globals["namespace"] and told:
            raise SecurityError("namespace of what is not named")
        _made(told)
        _made(named)
        return _made(_step(super().call(context, obj, *told, **named)))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Addition, multiplication and remainder; texts and lists are only ever added."""
        sized = [len(one) for one in (left, right) if hasattr(one, "__len__")]
        if operator != "+" and (sized or operator == "**"):
            raise SecurityError(operator)
        _fits(sum(sized))
        if not sized and abs(left) + abs(right) > LONGEST:
            raise SecurityError(operator)
        return _made(_step(super().call_binop(context, operator, left, right)))


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
    """The program with all counted that it does and makes."""
    for kind in (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block):
        for found in tree.find_all(kind):
            raise SecurityError(type(found).__name__.lower())
    _watched_in(tree)
    return tree


def _watched_in(node: nodes.Node) -> nodes.Node:
    """The same, with what it makes without a call counted; ``~`` becomes ``|join``."""
    for name, value in [*node.iter_fields()]:
        listed = value if isinstance(value, list) else [value]
        changed = [_watched_in(one) if isinstance(one, nodes.Node) else one for one in listed]
        setattr(node, name, changed if isinstance(value, list) else changed[0])
    if isinstance(node, nodes.Concat):
        return _through(nodes.List(node.nodes, lineno=node.lineno), "join")
    if isinstance(node, nodes.For):
        node.iter = _through(node.iter, _COUNTED)
    is_list = isinstance(node, nodes.List | nodes.Dict)
    is_tuple = isinstance(node, nodes.Tuple) and node.ctx == "load"
    is_slice = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)
    return _through(node, _MADE) if is_list or is_tuple or is_slice else node


def _through(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


@contextmanager
def _counting() -> Iterator[None]:
    steps, size = _steps.set(0), _size.set(0)
    try:
        yield
    finally:
        _steps.reset(steps)
        _size.reset(size)


def _step(found: Any) -> Any:
    """What was found, one step later. Raises SecurityError after too many, or if it is too long."""
    _steps.set(_steps.get() + 1)
    if _steps.get() > STEPS:
        raise SecurityError(f"> {STEPS} steps")
    _fits(len(found) if isinstance(found, str | list | tuple) else 0)
    return found


def _made(found: Any) -> Any:
    """What was made. Raises SecurityError where it is too much with all that was made before."""
    if isinstance(found, str):
        _size.set(_size.get() + len(found))
    elif isinstance(found, list | tuple | dict):
        _size.set(_size.get() + PART * (len(found) + 1))
    if _size.get() > TOGETHER:
        raise SecurityError(f"> {TOGETHER} together")
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
        return _made(_step(filter_(*told, **named)))

    watched.__dict__.update(getattr(filter_, "__dict__", {}))
    return watched


def _join(found: Iterable[Any], between: str = "") -> str:
    parts = [str(_step(one)) for one in found]
    _fits(sum(map(len, parts)) + len(between) * len(parts))
    return str(_made(between.join(parts)))


def _to_json(found: Any, indent: int | None = None, **named: Any) -> str:
    text = json.dumps(found, ensure_ascii=False, indent=min(indent, 8) if indent else None)
    return str(_made(_step(text)))


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form[:64])


class _RefusedError(TemplateError):
    """What a template says against the messages, by its own ``raise_exception``."""


def _refuse(why: str) -> str:
    raise _RefusedError(str(why))


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
