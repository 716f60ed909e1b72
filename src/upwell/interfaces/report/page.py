"""The report as one HTML page: no script, no request, light or dark as the reader's system is."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from upwell.interfaces.report.markup import Markup, tag
from upwell.interfaces.report.picture import Picture, diagnosed, named
from upwell.interfaces.report.quality import serving, verdict
from upwell.interfaces.report.scale import figure, signed
from upwell.interfaces.report.story import Story, Suggestion
from upwell.interfaces.report.svg import DARK, FONTS, LIGHT, style
from upwell.words import LANGUAGES, say

LAYOUT = f"""
:root{{color-scheme:light dark;--page:#f6f8fa;--card:#fff;--ink:#1f2933;--soft:#5f6b78;
--edge:#dfe4e9;--a:#0a6ebd}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--page);color:var(--ink);font:15px/1.6 {FONTS}}}
main{{max-width:860px;margin:0 auto;padding:40px 20px 64px}}
header p{{margin:0;color:var(--soft)}}
.top{{display:flex;justify-content:space-between;font-size:13px;color:var(--soft)}}
.top b{{color:var(--a);letter-spacing:.02em}}
h1{{font-size:26px;line-height:1.35;margin:14px 0 6px;font-weight:650;text-wrap:balance}}
h2{{font-size:17px;margin:0 0 2px;font-weight:650}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;
margin:24px 0}}
.tile,section{{background:var(--card);border:1px solid var(--edge);border-radius:10px}}
.tile{{padding:14px 16px}}
.tile dt{{font-size:13px;color:var(--soft)}}
.tile dd{{margin:2px 0 0;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}}
.tile small{{display:block;font-size:12.5px;color:var(--soft);font-weight:400}}
section{{padding:22px 24px 16px;margin:16px 0}}
section>p{{margin:0 0 14px;color:var(--soft);font-size:14px}}
figure{{margin:0}}
.u-picture{{display:block;width:100%;height:auto}}
details{{margin-top:12px;font-size:13.5px}}
summary{{cursor:pointer;color:var(--soft)}}
.wide{{overflow-x:auto}}
table{{border-collapse:collapse;width:100%;margin:8px 0;font-size:13.5px;
font-variant-numeric:tabular-nums}}
th,td{{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--edge);
vertical-align:top}}
th{{font-weight:600;white-space:nowrap}}
a{{color:var(--a)}}
h3{{font-size:14px;margin:16px 0 0}}
footer{{color:var(--soft);font-size:13.5px;margin-top:24px}}
@media print{{body{{background:#fff}}section,.tile{{break-inside:avoid}}}}
"""
NIGHT = (
    ":root{--page:#0e1318;--card:#151b21;--ink:#e4e9ee;--soft:#9aa5b1;--edge:#2b343d;--a:#56b0f0}"
)


def page(story: Story, pictures: Sequence[Picture], lang: str) -> str:
    """The whole page as text."""
    sheet = f"{LAYOUT}{style(LIGHT)}@media(prefers-color-scheme:dark){{{NIGHT}{style(DARK)}}}"
    title = say("report.title", lang, project=story.project)
    head = tag(
        "head",
        {},
        Markup('<meta charset="utf-8"/>'),
        Markup('<meta name="viewport" content="width=device-width,initial-scale=1"/>'),
        tag("title", {}, title),
        tag("style", {}, Markup(sheet)),
    )
    body = tag(
        "main",
        {},
        _header(story, title, lang),
        _tiles(story, lang),
        *(_section(picture, lang) for picture in pictures),
        _learned(story, lang),
        _suggestions(story.suggestions, lang),
        tag("footer", {}, tag("p", {}, say(story.key("report.honest"), lang))),
    )
    tongue = "zh-CN" if lang == "zh" else "en"
    return f"<!DOCTYPE html>\n{tag('html', {'lang': tongue}, head, tag('body', {}, body))}\n"


def _header(story: Story, title: str, lang: str) -> Markup:
    others = [other for other in LANGUAGES if other != lang]
    switch = [
        tag("a", {"href": f"report.{other}.html"}, say("report.language", other))
        for other in others
    ]
    top = tag("div", {"class": "top"}, tag("b", {}, title), tag("span", {}, *switch))
    made = say(
        "report.made",
        lang,
        at=f"{story.made:%Y-%m-%d %H:%M} UTC",
        champion=story.champion or "–",
    )
    head = verdict(story, lang) if story.turns else say("report.no_turn", lang)
    return tag("header", {}, top, tag("h1", {}, head), tag("p", {}, made))


def _tiles(story: Story, lang: str) -> Markup:
    """The four numbers that a reader wants first."""
    if not story.turns:
        return Markup()
    metric = named("metric", story.metric, lang)
    change = next((c for c in story.changes if c.name == story.metric), None)
    promoted = sum(turn.act == "promote" for turn in story.turns)
    best = max(story.turns[-1].baselines.items(), key=lambda pair: pair[1], default=None)
    value = serving(story.turns)[-1]
    frozen = say(story.key("report.tile.frozen"), lang, n=story.turns[-1].metric.n)
    tiles = [(metric, figure(value), frozen)]
    if change is not None:
        between = ""
        if change.low is not None and change.high is not None:
            ends = {"low": signed(change.low), "high": signed(change.high)}
            between = say("report.tile.interval", lang, **ends)
        tiles.append((say("report.tile.gain", lang), signed(change.after - change.before), between))
    if best is not None:
        name = named("baseline", best[0], lang)
        ratio = say("report.tile.times", lang, times=figure(value / best[1])) if best[1] else ""
        tiles.append((say("report.tile.baseline", lang, name=name), figure(best[1]), ratio))
    note = say("report.tile.promoted", lang, n=promoted)
    tiles.append((say("report.tile.turns", lang), str(len(story.turns)), note))
    return tag("dl", {"class": "tiles"}, *(_tile(*entry) for entry in tiles))


def _tile(name: str, value: str, note: str) -> Markup:
    shown = tag("dd", {}, value, *([tag("small", {}, note)] if note else []))
    return tag("div", {"class": "tile"}, tag("dt", {}, name), shown)


def _section(picture: Picture, lang: str) -> Markup:
    data = json.dumps(picture.data, ensure_ascii=False, indent=1).encode()
    link = tag(
        "a",
        {
            "download": f"{picture.name}.json",
            "href": "data:application/json;base64," + base64.b64encode(data).decode(),
        },
        "JSON",
    )
    table = grid(picture.columns, picture.rows)
    twin = tag("details", {}, tag("summary", {}, say("report.twin", lang)), table, link)
    return tag(
        "section",
        {"id": picture.name},
        tag("h2", {}, picture.title),
        tag("p", {}, picture.caption),
        tag("figure", {}, picture.svg),
        twin,
    )


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table that scrolls by itself where it is wider than the page."""
    head = tag("thead", {}, tag("tr", {}, *(tag("th", {"scope": "col"}, c) for c in columns)))
    lines = [tag("tr", {}, *(_cell(cell) for cell in row)) for row in rows]
    return tag("div", {"class": "wide"}, tag("table", {}, head, tag("tbody", {}, *lines)))


def _cell(said: str) -> Markup:
    return tag("td", {}, said or "–")


def _learned(story: Story, lang: str) -> Markup:
    """What the latest training told of itself, in sentences."""
    if not story.learned:
        return Markup()
    told = [tag("p", {}, line) for line in diagnosed(story.learned, lang)]
    return tag(
        "section", {"id": "learned"}, tag("h2", {}, say("report.learned.title", lang)), *told
    )


def _suggestions(listed: Sequence[Suggestion], lang: str) -> Markup:
    """What the champion says to a few users now, each with its reason."""
    if not listed:
        return Markup()
    columns = [say(f"report.column.{key}", lang) for key in ("user", "title", "score", "why")]
    rows = [(one.user, one.title, figure(one.score), one.reason) for one in listed]
    title, caption = say("report.suggestions.title", lang), say("report.suggestions.caption", lang)
    return tag(
        "section",
        {"id": "suggestions"},
        tag("h2", {}, title),
        tag("p", {}, caption),
        grid(columns, rows),
    )
