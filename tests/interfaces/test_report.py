"""The report: well formed, self-contained, safe with hostile text, and it says what is true."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.parsers import expat

import pytest

from upwell.interfaces.report import quality
from upwell.interfaces.report.markup import tag
from upwell.interfaces.report.scale import ticks
from upwell.interfaces.report.story import Story
from upwell.interfaces.report.write import pictures, write
from upwell.words import LANGUAGES

EMPTY = {"meta"}


class Strict(HTMLParser):
    """Fails on a tag that is not closed, and collects all that could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page_is_well_formed_and_self_contained(story: Story, tmp_path: Path, lang: str) -> None:
    text = write(story, tmp_path)[lang].read_text(encoding="utf-8")
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    assert not {"script", "link", "img", "iframe", "object"} & set(parser.tags)
    assert all(re.match(r"data:application/json|report\.\w\w\.html$", one) for one in parser.loads)
    assert not re.search(r"https?://|@import|url\(", text)
    assert parser.tags.count("svg") == 5


@pytest.mark.parametrize("lang", LANGUAGES)
def test_hostile_text_stays_text(story: Story, hostile: str, tmp_path: Path, lang: str) -> None:
    page = write(story, tmp_path)[lang].read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert hostile not in page


def test_pictures_stand_alone_as_files(story: Story, tmp_path: Path) -> None:
    write(story, tmp_path)
    drawn = sorted((tmp_path / "pictures").glob("*.svg"))
    assert len(drawn) == 10
    for path in drawn:
        text = path.read_text(encoding="utf-8")
        expat.ParserCreate().Parse(text, True)  # raises where it is not well formed
        assert text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
        assert "<title>" in text


def test_every_picture_has_its_table_and_its_data(story: Story, tmp_path: Path) -> None:
    write(story, tmp_path)
    for picture in pictures(story, "en"):
        assert picture.rows
        assert all(len(row) == len(picture.columns) for row in picture.rows)
        kept = json.loads((tmp_path / "pictures" / f"{picture.name}.json").read_text())
        assert kept == json.loads(json.dumps(picture.data))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_story_without_turns_has_a_page(story: Story, tmp_path: Path, lang: str) -> None:
    bare = Story("p", "recommend", story.made, "", None, ())
    parser = Strict()
    parser.feed(write(bare, tmp_path)[lang].read_text(encoding="utf-8"))
    assert parser.open == []
    assert "svg" not in parser.tags


def test_a_first_turn_alone_can_be_drawn(story: Story, tmp_path: Path) -> None:
    one = dataclasses.replace(story, turns=story.turns[:1], changes=(), slices=(), curve=None)
    assert [picture.name for picture in pictures(one, "en")] == ["quality", "funnel"]


def test_what_serves_does_not_move_with_a_held_candidate(story: Story) -> None:
    assert quality.serving(story.turns) == pytest.approx([0.0581, 0.0654, 0.0654, 0.0723, 0.0768])


def test_verdict_names_the_change(story: Story) -> None:
    said = quality.verdict(story, "en")
    assert said == "NDCG@10 went from 0.0581 to 0.0768 (+32%) in 4 turns of feedback"


def test_held_candidates_are_hollow(story: Story) -> None:
    (drawn, *_) = pictures(story, "en")
    assert drawn.svg.count('class="u-dot b hollow"') == 2  # the candidate and the key
    assert drawn.svg.count('class="u-dot a"') == 5


def test_ticks_span_what_they_must() -> None:
    for low, high in ((0.0, 1e-6), (-3.0, 1200.0), (0.0402, 0.0861), (5.0, 5.0), (0.0, 0.0)):
        found = ticks(low, high)
        assert found[0] <= low
        assert found[-1] >= high
        assert found[0] < found[-1]
        assert len(found) <= 8


def test_attributes_cannot_be_broken_out_of() -> None:
    assert tag("a", {"href": '"><script>'}) == '<a href="&quot;&gt;&lt;script&gt;"/>'
