"""The help of ``upwell`` itself, in English and Chinese, and the parts of every help page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from upwell.interfaces.cli.screen import strong, width
from upwell.words import say

PACKAGE = "upwell.interfaces.cli.commands"


@cache
def commands() -> dict[str, str]:
    """Names of the commands and the modules they live in, without importing any."""
    found = (Path(__file__).parent / "commands").glob("[!_]*.py")
    stems = sorted(path.stem for path in found)
    return {stem.rstrip("_").replace("_", "-"): f"{PACKAGE}.{stem}" for stem in stems}


def overview(lang: str) -> str:
    """What ``upwell --help`` prints."""
    listed = [(name, say(f"cli.{name}.help", lang)) for name in commands()]
    parts = [
        say("cli.about", lang),
        block("cli.head.usage", [("upwell COMMAND [...]", "")], lang),
        block("cli.head.start", examples("cli.start", lang), lang),
        block("cli.head.commands", listed, lang),
        block("cli.head.everywhere", everywhere(lang), lang),
    ]
    return "\n\n".join(parts)


def block(head: str, rows: Sequence[tuple[str, str]], lang: str) -> str:
    """A heading and its rows: what one types, and what it means."""
    size = max(width(left) for left, _ in rows)
    lines = [f"  {left}{' ' * (size - width(left))}  {right}".rstrip() for left, right in rows]
    return "\n".join([strong(say(head, lang), sys.stdout.isatty()), *lines])


def examples(key: str, lang: str) -> list[tuple[str, str]]:
    """Example commands, one a line: the command, ``#``, what it does."""
    rows = [line.split(" # ", 1) for line in say(key, lang).splitlines()]
    return [(row[0], f"# {row[1]}" if len(row) > 1 else "") for row in rows]


def everywhere(lang: str) -> list[tuple[str, str]]:
    """The options that every command takes."""
    return [
        ("--project, -p FOLDER", say("cli.everywhere.project", lang)),
        ("--json", say("cli.everywhere.json", lang)),
        ("--lang en|zh", say("cli.everywhere.lang", lang)),
        ("--help, -h", say("cli.everywhere.help", lang)),
    ]
