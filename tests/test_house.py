"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import cast

import pytest

from upwell.checks import promises
from upwell.ports import Feedback

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "upwell"
CODE = sorted(path for room in ("src", "tests", "bench") for path in (ROOT / room).rglob("*.py"))
SHIPPED = sorted(PACKAGE.rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PLAIN = [ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "pyproject.toml", *PAGES]

LONGEST_FILE, LONGEST_FUNCTION = 300, 40
HEAVY = {"torch", "transformers", "accelerate", "safetensors", "scipy", "usearch", "bitsandbytes"}
"""Optional and slow to import: these may be imported where they are needed."""
SLOW_STANDARD = {"importlib.metadata"}
HEAVIEST_AT_REST = ("torch", "transformers", "pyarrow", "duckdb", "numpy", "pydantic", "rich")
PLUGIN_ROOMS = ("tasks", "feedback", "sources")

# In pieces, so that these lines do not break the rules they state.
EXEMPTION = re.compile(
    r"#\s*type:\s*ig" r"nore|#\s*no" r"qa|pragma:\s*no\s*co" r"ver|\bTO" r"DO\b|\bFIX" r"ME\b|"
    r"mark\.(sk" r"ip|xf" r"ail)|NotImplemented" r"Error"
)  # fmt: skip
FOREIGN = re.compile(
    r"(?<![\w.~-])/(home|root|work|farm|tmp|Users|opt|mnt)/|"
    r"\b(issue|ticket|pull request)s? ?#?\d+\b",
    re.IGNORECASE,
)
PICKLE = re.compile(r"^(pickle|cloudpickle|dill|joblib|shelve|marshal)$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:src|tests|bench|docs|\.ci)/[\w./-]+)`")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def decorators(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    return {mark.id for mark in node.decorator_list if isinstance(mark, ast.Name)}


@cache
def is_heavy(module: str) -> bool:
    """A heavy library, or a module of Upwell that cannot be imported without one."""
    if module.partition(".")[0] in HEAVY:
        return True
    path = ROOT / "src" / f"{module.replace('.', '/')}.py"
    return path.is_file() and any(
        is_heavy(name)
        for node in tree(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(node)
    )


def imported(node: ast.AST) -> Iterator[str]:
    """Full names of the modules that are imported anywhere below a node."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            yield inner.module or ""


def test_files_are_short() -> None:
    lengths = {named(path): text(path).count("\n") for path in CODE}
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE}


def test_functions_are_short() -> None:
    lengths = {
        f"{named(path)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in CODE
        for node in functions(path)
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


def test_nothing_is_exempt_or_left_for_later() -> None:
    found = [
        f"{named(path)}:{number}: {line.strip()}"
        for path in [*CODE, *PLAIN]
        for number, line in enumerate(text(path).splitlines(), 1)
        if EXEMPTION.search(line)
    ]
    assert not found


def test_nothing_names_a_machine_or_how_it_was_written() -> None:
    found = [
        f"{named(path)}:{number}: {line.strip()}"
        for path in [*CODE, *PLAIN]
        for number, line in enumerate(text(path).splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert not found


def test_no_import_hides_in_a_function() -> None:
    hidden = {
        f"{named(path)}:{node.name}": module
        for path in SHIPPED
        for node in functions(path)
        for module in imported(node)
        if not is_heavy(module) and module not in SLOW_STANDARD
    }
    assert not hidden


def test_nothing_unpickles() -> None:
    found = {
        named(path): module
        for path in SHIPPED
        for module in imported(tree(path))
        if PICKLE.match(module.split(".")[0])
    }
    assert not found


def test_everything_public_says_what_it_promises() -> None:
    silent = [named(path) for path in SHIPPED if not ast.get_docstring(tree(path))]
    silent += [
        f"{named(path)}:{node.name}"
        for path in SHIPPED
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if not ast.get_docstring(node) and "overload" not in decorators(node)
    ]
    assert not silent


def test_every_room_has_its_place_in_the_layers() -> None:
    settings = tomllib.loads(text(ROOT / "pyproject.toml"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    layers = {room.strip() for layer in contract["layers"] for room in layer.split("|")}
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__", "py"} == layers


def test_no_plugin_imports_another() -> None:
    found = []
    for room in PLUGIN_ROOMS:
        plugins = {path.stem for path in (PACKAGE / room).glob("[!_]*.py")}
        for path in (PACKAGE / room).glob("*.py"):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.ImportFrom) and node.module:
                    parts = [*node.module.split("."), *(alias.name for alias in node.names)]
                    if parts[:2] == ["upwell", room] and plugins & set(parts[2:]):
                        found.append(f"{named(path)}: {node.module}")
    assert not found


def test_importing_upwell_is_light() -> None:
    code = (
        f"import sys, upwell; print([name for name in {HEAVIEST_AT_REST!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_a_page_names_exists(page: Path) -> None:
    targets = [
        first or second
        for first, second in LINK.findall(text(page))
        if not re.match(r"[a-z]+:|#", first or second)
    ]
    gone = [target for target in targets if not (page.parent / target.split("#")[0]).exists()]
    gone += [name for name in NAMED.findall(text(page)) if not (ROOT / name).exists()]
    assert not gone


def test_both_languages_have_the_same_pages_of_the_same_shape() -> None:
    english, chinese = ROOT / "docs" / "en", ROOT / "docs" / "zh"
    pairs = [
        (path, chinese / path.relative_to(english)) for path in sorted(english.rglob("*.md"))
    ] + [(ROOT / "README.md", ROOT / "README.zh-CN.md")]
    there = {path.relative_to(chinese) for path in chinese.rglob("*") if path.is_file()}
    assert there == {path.relative_to(english) for path in english.rglob("*") if path.is_file()}
    unlike = [named(one) for one, other in pairs if _shape(one) != _shape(other)]
    assert not unlike


def _shape(page: Path) -> tuple[list[str], list[str], int]:
    """Levels of the headings, languages of the code blocks, and lines of tables."""
    lines = text(page).splitlines()
    headings = re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL), re.M)
    blocks = [line for line in lines if line.startswith("```") and len(line) > 3]
    return headings, blocks, sum(line.startswith("|") for line in lines)


def test_the_readme_names_the_commands() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        assert "make demo" in text(ROOT / name)
        assert "make test" in text(ROOT / name)
        assert text(ROOT / name).count("<!-- demo:begin -->") == 1
        assert text(ROOT / name).count("<!-- demo:end -->") == 1


def test_contributing_fits_on_two_pages() -> None:
    assert len(text(ROOT / "CONTRIBUTING.md").split()) <= 900


def test_the_plugin_that_the_docs_show_keeps_its_promises(tmp_path: Path) -> None:
    pages = [text(ROOT / "docs" / lang / "adding-a-plugin.md") for lang in ("en", "zh")]
    shown = {re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0] for page in pages}
    assert len(shown) == 1
    (tmp_path / "bookmark.py").write_text(shown.pop(), encoding="utf-8")
    found = spec_from_file_location("bookmark", tmp_path / "bookmark.py")
    assert found is not None
    assert found.loader is not None
    bookmark = module_from_spec(found)
    found.loader.exec_module(bookmark)
    for promise in promises("feedback"):
        promise(cast("Feedback", bookmark), tmp_path)
