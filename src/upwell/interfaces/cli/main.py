"""``upwell``: finds the command that is asked for, runs it alone, and says what came of it.

A command is a file in ``commands/`` with a function ``run``; its name is the file's name, with
dashes for underscores (one at the end, which keeps a name off Python's keywords, is dropped). Only
the command that runs is imported, so that help is instant.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from tempfile import gettempdir
from typing import NoReturn

import upwell
from upwell.errors import InterfaceError, UpwellError
from upwell.interfaces.cli import manual
from upwell.interfaces.cli.here import Here
from upwell.interfaces.cli.screen import show_error
from upwell.words import LANGUAGES, language, say

INTERRUPTED, PIPE_CLOSED = 130, 141


def main() -> None:
    """The entry point: runs the command line and exits with its code."""
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns 0, 1 (failure), 2 (wrong use or input), 130 (interrupted)."""
    here = Here(None, "--json" in arguments, language())
    try:
        here, rest, wants_help = _common(arguments)
        code = _command(here, rest, wants_help)
        sys.stdout.flush()
    except UpwellError as error:
        return _refused(error, here)
    except KeyboardInterrupt:
        show_error(InterfaceError("cli.interrupted"), here)
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more when it ends; what is left has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        return _unexpected(error, here)
    return code


def _common(arguments: Sequence[str]) -> tuple[Here, list[str], bool]:
    """The options that every command takes, wherever they stand, and what is left."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--project", "-p", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lang")
    parser.add_argument("--help", "-h", action="store_true")
    found, rest = parser.parse_known_args(list(arguments))
    lang = found.lang or language()
    if lang not in LANGUAGES:
        raise InterfaceError("cli.language", asked=lang, known=", ".join(LANGUAGES))
    os.environ["UPWELL_LANG"] = lang
    return Here(found.project, found.json, lang), rest, found.help


def _command(here: Here, rest: Sequence[str], wants_help: bool) -> int:
    if not rest or rest[0].startswith("-"):
        return _without_command(here, rest)
    known = manual.commands()
    if rest[0] not in known:
        nearest = get_close_matches(rest[0], known, 1, 0.0)[0]
        raise InterfaceError("cli.unknown", name=rest[0], nearest=nearest)
    command = import_module("upwell.interfaces.cli.command")
    if wants_help:
        print(command.help_page(rest[0], known[rest[0]], here.lang))
        return 0
    return int(command.run(rest[0], known[rest[0]], rest[1:], here))


def _without_command(here: Here, rest: Sequence[str]) -> int:
    if not rest:
        print(manual.overview(here.lang))
        return 0
    if rest[0] == "--version":
        print(upwell.__version__)
        return 0
    raise InterfaceError("cli.usage", problem=say("cli.no_option", here.lang, name=rest[0]))


def _refused(error: UpwellError, here: Here) -> int:
    """Explain an error; one that has no sentences (a foreign plugin's) is told by its code."""
    try:
        show_error(error, here)
    except (KeyError, TypeError, ValueError):
        return _unexpected(RuntimeError(f"{error.code} {error.details}"), here)
    return 2


def _unexpected(error: Exception, here: Here) -> int:
    """Keep the trace in a log and say where; with UPWELL_DEBUG=1 show it instead."""
    if os.environ.get("UPWELL_DEBUG") == "1":
        raise error
    log = Path(gettempdir()) / f"upwell-{os.getuid()}-errors.log"
    trace = "".join(traceback.format_exception(error))
    with log.open("a", encoding="utf-8") as kept:
        kept.write(f"{datetime.now(UTC).isoformat()} {sys.argv[1:]}\n{trace}\n")
    told = f"{type(error).__name__}: {error}".splitlines()[0]
    show_error(InterfaceError("cli.unexpected", problem=told, log=log), here)
    return 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong use is told like every other error."""
        raise InterfaceError("cli.usage", problem=message)
