"""One command of ``upwell``, run by typer: its parameters, its help page, its answer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption
from typer.main import get_command

from upwell.errors import InterfaceError
from upwell.interfaces.cli.here import Answer, Here
from upwell.interfaces.cli.manual import block, everywhere, examples
from upwell.interfaces.cli.screen import show
from upwell.words import catalogue, say


def run(name: str, module: str, arguments: Sequence[str], here: Here) -> int:
    """Run the command that lives in ``module`` and print its answer; returns the exit code.

    Raises InterfaceError when its arguments are wrong, KeyboardInterrupt when it was stopped.
    """
    built = build(name, module)
    try:
        with here.held:
            answer = built.main(list(arguments), f"upwell {name}", standalone_mode=False, obj=here)
    except typer.TyperException as error:
        raise InterfaceError("cli.usage", problem=error.format_message()) from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    if not isinstance(answer, Answer):
        # typer turns a KeyboardInterrupt into the exit code that shells expect.
        raise KeyboardInterrupt
    show(answer, here)
    return answer.code


def help_page(name: str, module: str, lang: str) -> str:
    """What ``upwell NAME --help`` prints."""
    return page(name, build(name, module), lang)


def build(name: str, module: str) -> TyperCommand:
    """The function ``run`` of a module as a command."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name)(import_module(module).run)
    return cast(TyperCommand, get_command(app))


def page(name: str, built: TyperCommand, lang: str) -> str:
    """What ``upwell NAME --help`` prints."""
    arguments = [p for p in built.params if isinstance(p, TyperArgument)]
    options = [p for p in built.params if isinstance(p, TyperOption) and not p.hidden]
    wanted = " ".join(_wanted(argument) for argument in arguments)
    usage = " ".join(part for part in (f"upwell {name}", wanted, "[OPTIONS]") if part)
    blocks = [
        ("cli.head.usage", [(usage, "")]),
        ("cli.head.arguments", [_described(argument, lang) for argument in arguments]),
        ("cli.head.options", [_described(option, lang) for option in options]),
        ("cli.head.everywhere", everywhere(lang)),
        ("cli.head.examples", examples(f"cli.{name}.examples", lang)),
    ]
    told = [say(f"cli.{name}.help", lang)]
    if f"cli.{name}.more" in catalogue(lang):
        told.append(say(f"cli.{name}.more", lang))
    return "\n\n".join([*told, *(block(head, rows, lang) for head, rows in blocks if rows)])


def _wanted(argument: TyperArgument) -> str:
    shown = (argument.metavar or argument.name or "").upper()
    return shown if argument.required else f"[{shown}]"


def _described(entry: TyperArgument | TyperOption, lang: str) -> tuple[str, str]:
    """A parameter and what it means; its help is a word key."""
    meaning = say(entry.help or "", lang)
    default = entry.default
    if default not in (None, False, (), [], "") and not callable(default):
        meaning += " " + say("cli.default", lang, value=default)
    if isinstance(entry, TyperArgument):
        return _wanted(entry).strip("[]"), meaning
    kind = "" if entry.is_flag else f" {(entry.metavar or entry.name or '').upper()}"
    return ", ".join(entry.opts) + kind, meaning
