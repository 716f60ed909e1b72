"""A story as files: one page a language, every picture as SVG, and the data as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from upwell.interfaces.report import flow, founder, gains, guards, quality
from upwell.interfaces.report.page import page
from upwell.interfaces.report.picture import Picture
from upwell.interfaces.report.story import Story
from upwell.interfaces.report.svg import standalone
from upwell.words import LANGUAGES


def pictures(story: Story, lang: str) -> tuple[Picture, ...]:
    """Every picture that the story has something for, in reading order."""
    drawn = []
    if story.turns:
        drawn.append(quality.quality(story, lang))
    if sum(entry.turn is not None for entry in story.history) > 1:
        drawn.append(founder.founder(story, lang))
    if any(change.before for change in story.changes):
        drawn.append(gains.before_after(story, lang))
    if story.slices:
        drawn.append(gains.slices(story, lang))
    if story.guards:
        drawn.append(guards.guards(story, lang))
    if story.steps:
        drawn.append(flow.funnel(story, lang))
    if story.curve is not None and story.curve.points:
        drawn.append(flow.learning(story.curve, lang))
    return tuple(drawn)


def write(story: Story, folder: Path) -> dict[str, Path]:
    """Write ``report.<lang>.html`` and ``pictures/``; returns the page of each language."""
    shelf = folder / "pictures"
    shelf.mkdir(parents=True, exist_ok=True)
    pages = {}
    for lang in LANGUAGES:
        drawn = pictures(story, lang)
        pages[lang] = folder / f"report.{lang}.html"
        pages[lang].write_text(page(story, drawn, lang), encoding="utf-8")
        for picture in drawn:
            target = shelf / f"{picture.name}.{lang}.svg"
            target.write_text(standalone(picture.svg), encoding="utf-8")
            data = json.dumps(picture.data, ensure_ascii=False, indent=1)
            (shelf / f"{picture.name}.json").write_text(data + "\n", encoding="utf-8")
    return pages
