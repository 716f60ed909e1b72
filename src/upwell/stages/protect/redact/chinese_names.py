"""Names in Chinese, weighed: what a surname and one or two characters after it look like.

Chinese has no capitals, and every surname is part of words. So points count for and against: how
common the surname is, whether the characters after it are ones that names are made of, whether a
word of everyday Chinese begins, ends or lies there instead, and what is said before and after.
Points are twice the coefficients, rounded, of a logistic regression over news, résumés and reviews;
a name is what has none against it on balance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from upwell.stages.protect.redact.text import HANZI, Found, listed

FINDS = ("name",)
_SURE, _DOUBTFUL = listed("zh_surnames"), listed("zh_surnames_doubtful")
"""Surnames, and those that are common words as well."""
_FAMILIES = _SURE | _DOUBTFUL
_GIVEN, _WORDS = listed("zh_given"), listed("zh_words")
_GRAMMAR = frozenset(
    "的在是和与及说来去到住电手身有已想要把给从向对被让请吗呢啊吧这那就也都还又不没将会能为我你他她您们"
    "了着过地得很最更太个些什么怎哪谁其此该每各另嘛呀哦哈啦哟嗯唉并且而或但却虽则即于因所以由自使用做吃喝"
    "看听走跑送拿买卖打问找叫回发收写等跟替帮比按据第几多少两二六七八十零"
)
_POINTS = (
    dict.fromkeys(_GRAMMAR, -7)
    | dict.fromkeys("的了着吗呢吧啊呀哦啦嘛说问找吃喝买卖拿他她你我您们这那就很", -10)
    | dict.fromkeys(_GIVEN, 2)
)
_BEGIN = re.compile(f"(?=([{''.join(sorted({one[0] for one in _FAMILIES}))}][{HANZI}]{{1,3}}))")
"""A surname and what else a name can have."""
_BETWEEN = "：:“\"'‘（( \t"
_JOINTS = frozenset(("和", "与", "跟", "及", "同", "、", ",", "，", "/", " ", "或"))
_TITLED = re.compile("|".join(one for one in sorted(listed("zh_titles")) if len(one) > 1))
"""What may follow a surname alone."""
_ANNOUNCED = 3
_LONGEST, _BEHIND, _AHEAD = 5, 8, 9
"""Characters of the longest word around, and how far a look goes back and forth."""
_LEADS = dict.fromkeys(listed("zh_when"), -1)
_LEADS |= {one: 1 if len(one) > 1 else -1 for one in listed("zh_toward")}
_LEADS |= {one: _ANNOUNCED if len(one) > 1 else -1 for one in listed("zh_announcing")}
_LEADS |= dict.fromkeys(listed("zh_certain"), 10)
_FOLLOWS = {one: 3 if len(one) > 1 else 0 for one in listed("zh_deeds")}
_FOLLOWS |= {one: 4 if len(one) > 1 else 1 for one in listed("zh_titles")}
_FOLLOWS |= dict.fromkeys(listed("zh_not_after_name"), -6)
_MOST = 8
"""Points that characters give at most."""
_CACHED = 65_536
_LEADS_END, _FOLLOWS_BEGIN = {one[-1] for one in _LEADS}, {one[0] for one in _FOLLOWS}


class _Name(NamedTuple):
    start: int
    end: int
    points: int


def find(folded: str) -> Iterator[Found]:
    """Names in a folded text, whole where a surname is known."""
    if folded.isascii():
        return
    taken: list[_Name] = []
    for begin in _BEGIN.finditer(folded):
        start = begin.start()
        last = taken[-1] if taken else _Name(0, 0, -1)
        beside = last.end > 0 and folded[last.end : start] in _JOINTS
        before = folded[max(0, start - _BEHIND) : start]
        size, points = _best(before, begin[1], folded[start : start + _AHEAD], beside)
        if size and start >= last.end:
            taken.append(_Name(start, start + size, points))
        elif size and points > last.points:
            taken[-1] = _Name(start, start + size, points)
    for one in taken:
        yield Found(one.start, one.end, "name")


@lru_cache(_CACHED)
def _best(before: str, whole: str, text: str, beside: bool) -> tuple[int, int]:
    """Characters of the likeliest name that ``text`` begins with, and its points; (0, 0): none.

    A name has no characters beyond ``whole``.
    ``beside`` tells that another name stands before, with a joint between them.
    """
    family = 2 if text[:2] in _FAMILIES else 1
    best = (0, 0)
    led = max(_led(before), 4 if beside else -99)
    for size in range(family, min(family + 2, len(whole)) + 1):
        after = text[size : size + _LONGEST]
        around = led + _followed(after)
        if around + _MOST < 0 or (size == family and not _TITLED.match(after)):
            continue
        points = around + _looks(before[-2:], text[:size], after[:1], family)
        if points >= best[1]:
            best = (size, points)
    return best


def _looks(before: str, name: str, after: str, family: int) -> int:
    """Points of a surname and what may be a given name, with the characters around it."""
    given = name[family:]
    points = 2 if name[:family] in _SURE else -2
    points += (-2, -3, 2)[len(given)]
    points += sum([_POINTS.get(one, -3) for one in given])
    begins = name if given else name + after
    points -= 9 * (begins[:2] in _WORDS and family == 1)
    points -= 7 * (len(begins) > 2 and begins[:3] in _WORDS)
    points -= 8 * (before[-1:] + name[0] in _WORDS or before + name[0] in _WORDS)
    points -= 7 * (len(given) == 2 and given in _WORDS)
    return points - 6 * (bool(given) and name[-1] + after in _WORDS)


def _led(before: str) -> int:
    """Points of what stands before: a word that announces a name, a mark, or the text's begin."""
    line = before[before.rfind("\n") + 1 :]
    bare = line.rstrip(_BETWEEN)
    if not bare:
        return 2
    if bare[-1] in "是为叫" and any(_LEADS.get(bare[-n:-1], 0) >= _ANNOUNCED for n in (3, 4, 5)):
        return _ANNOUNCED
    if bare[-1] in _LEADS_END:
        for size in range(min(_LONGEST, len(bare)), 0, -1):
            if bare[-size:] in _LEADS:
                return _LEADS[bare[-size:]]
    if len(bare) < len(line):
        return 4
    if "\u4e00" <= bare[-1] <= "\u9fff":
        return -4
    return -3 if bare[-1].isalnum() else 1


def _followed(after: str) -> int:
    """Points of what stands after: a title, what somebody does, a mark, or the text's end."""
    if not after:
        return 4
    if not "\u4e00" <= after[0] <= "\u9fff":
        return 3 if after[0] in ":,、(" else -2 if after[0].isalnum() else 0
    if after[0] in _FOLLOWS_BEGIN:
        for size in range(len(after), 0, -1):
            if after[:size] in _FOLLOWS:
                return _FOLLOWS[after[:size]]
    if after[:2] in _WORDS or after[:3] in _WORDS:
        return -1
    return -2 if after[0] in _GRAMMAR else -6
