"""E-mail, chat accounts, addresses of machines, links that carry a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from upwell.stages.protect.redact.text import Found

FINDS = ("email", "chat", "ip", "secret")
_LOCAL, _LETTERS = r"[A-Za-z0-9\u00c0-\u024f_%+'-]", r"A-Za-z0-9\u00c0-\u024f"
_EMAIL = re.compile(
    rf"(?<![{_LETTERS}._%+-]){_LOCAL}{{1,64}}+(?:\.{_LOCAL}{{1,64}}+){{0,8}}+"
    rf" ?@ ?(?:[{_LETTERS}-]{{1,63}}\.){{1,6}}[A-Za-z]{{2,24}}(?![A-Za-z0-9])"
)
_V4 = re.compile(r"(?<![0-9A-Za-z.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])")
_V6 = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9A-Fa-f:]:)(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1"
    r",3})?(?![0-9A-Za-z:])"
)
_VERSION = re.compile(r"(?:version|ver|v|版本|firmware|build|release)[ .:号]*$", re.IGNORECASE)
_LINK = re.compile(r"(?:https?|wss?|ftp)://[^\s\"'<>\u4e00-\u9fff]{3,2000}", re.IGNORECASE)
_CARRIED = re.compile(
    r"(?<=[?&#;])(?:[\w.-]{0,20}(?:token|key|secret|sig|signature|auth|code|session|sid|password|"
    r"pwd|pass|jwt|ticket|credential|otp)[\w.-]{0,20})=([^&#\s]{4,})",
    re.IGNORECASE,
)
_LOGGED_IN = re.compile(r"://([^\s/@:]{1,64}(?::[^\s/@]{1,256})?)@")
_QQ = re.compile(
    r"(?:(?<![A-Za-z])qq|(?<=加)q|扣扣|企鹅)(?:号码|账号|帐号|号|群)?[ ]?(?:是|为|就是|[:：=])?[ "
    r"]{0,2}([1-9][0-9]{4,10})(?![0-9A-Za-z@])",
    re.IGNORECASE,
)
_WECHAT = re.compile(
    r"(?:微信|薇信|威信|v信|(?<![A-Za-z])(?:wechat|weixin|wx|vx|v(?=[:：])))(?:号码|账号|帐号|号|"
    r"[ ]?(?:id|number|account))?"
    r"[ ]?(?:也?是|为|就是|is|[:：=])?[ ]{0,2}([A-Za-z][A-Za-z0-9_-]{5,19}|1[3-9][0-9]{9}|"
    r"[1-9][0-9]{5,10})(?![A-Za-z0-9_-])",
    re.IGNORECASE,
)
_PLAIN_WORDS = frozenset(
    ["payment", "wallet", "wechat", "official", "account", "message", "support", "number", "please"]
)


def find(folded: str) -> Iterator[Found]:
    """E-mail addresses, chat accounts, IP addresses and what links carry."""
    if "@" in folded:
        for one in _EMAIL.finditer(folded):
            yield Found(one.start(), one.end(), "email")
    yield from _machines(folded)
    yield from _links(folded)
    for pattern in (_QQ, _WECHAT):
        for one in pattern.finditer(folded):
            if one.group(1).lower() not in _PLAIN_WORDS:
                yield Found(*one.span(1), "chat")


def _machines(folded: str) -> Iterator[Found]:
    for one in _V4.finditer(folded):
        whole = all(int(part) <= 255 for part in one.group().split("."))
        if whole and not _VERSION.search(folded[max(0, one.start() - 12) : one.start()]):
            yield Found(one.start(), one.end(), "ip")
    if folded.count(":") < 2:
        return
    for one in _V6.finditer(folded):
        if one.group().count(":") >= 2 and _is_v6(one.group()):
            yield Found(one.start(), one.end(), "ip")


def _is_v6(text: str) -> bool:
    try:
        return ip_address(text).version == 6 and len(text) > 3
    except ValueError:
        return False


def _links(folded: str) -> Iterator[Found]:
    for link in _LINK.finditer(folded):
        for carried in _CARRIED.finditer(link.group()):
            yield Found(link.start() + carried.start(1), link.start() + carried.end(1), "secret")
        user = _LOGGED_IN.search(link.group())
        if user:
            yield Found(link.start() + user.start(1), link.start() + user.end(1), "secret")
