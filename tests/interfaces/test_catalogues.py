"""Every sentence exists in every language, with the same details, and every key used exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from upwell.words import LANGUAGES, catalogue

SOURCE = Path(__file__).parents[2] / "src" / "upwell"
ERRORS = re.compile(r"^[A-Z]\w*Error$")
CHINESE = "[\u3400-\u9fff]"
HALF_WIDTH = re.compile(rf"{CHINESE}[,;:!?()]|[,;:!?()]{CHINESE}")


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield str(path.relative_to(SOURCE)), node


def name_of(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def first_text(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def details(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_language_has_every_key_with_the_same_details(lang: str) -> None:
    english, other = catalogue("en"), catalogue(lang)
    assert set(english) == set(other)
    differing = [key for key in english if details(english[key]) != details(other[key])]
    assert not differing


def test_chinese_sentences_have_full_width_punctuation() -> None:
    sentences = {key: re.sub(r"`[^`]*`", "", sentence) for key, sentence in catalogue("zh").items()}
    assert not {key: said for key, said in sentences.items() if HALF_WIDTH.search(said)}


def test_no_file_repeats_a_key_of_another() -> None:
    for lang in LANGUAGES:
        keys = [
            key
            for path in (SOURCE / "words" / lang).glob("*.json")
            for key in re.findall(r'^\s*"([^"]+)":', path.read_text(encoding="utf-8"), re.M)
        ]
        assert len(keys) == len(set(keys))


def test_every_error_code_has_its_three_sentences() -> None:
    known = catalogue("en")
    missing = [
        f"{where}: {code}.{part}"
        for where, call in calls()
        if ERRORS.match(name_of(call)) and (code := first_text(call)) and "." in code
        for part in ("what", "now", "next")
        if f"error.{code}.{part}" not in known
    ]
    assert not missing


def test_every_key_that_is_said_exists() -> None:
    known = catalogue("en")
    missing = [
        f"{where}: {key}"
        for where, call in calls()
        if name_of(call) == "say" and (key := first_text(call)) and key not in known
    ]
    assert not missing


def test_every_option_and_argument_says_what_it_means() -> None:
    known = catalogue("en")
    found = [
        keyword.value.value
        for _, call in calls()
        if name_of(call) in ("Option", "Argument")
        for keyword in call.keywords
        if keyword.arg == "help" and isinstance(keyword.value, ast.Constant)
    ]
    assert len(found) > 15
    assert not [key for key in found if key not in known]
