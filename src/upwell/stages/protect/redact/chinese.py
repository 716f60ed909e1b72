"""Addresses in Chinese: chains of places. The provinces are those of GB/T 2260."""

from __future__ import annotations

import re
from collections.abc import Iterator

from upwell.stages.protect.redact.text import HANZI, Found

FINDS = ("address",)
_PROVINCE = (
    "北京|天津|上海|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|"
    "广东|海南|四川|贵州|云南|"
    "陕西|甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_WORD = rf"[{HANZI}A-Za-z0-9]"
_TO = (
    r"(?:地址|住址|住所|住在|家住|现住|居住在|寄到|寄往|送到|送至|送往|发到|发往|快递到|搬到|搬去|"
    r"位于|坐落于|户籍|户口所在地|籍贯|收货|地点|办公室在|公司在|家在|门店在|在|到|至|往)"
)
_NUMBER = r"[0-9一二三四五六七八九十百零〇A-Za-z\-]{1,8}"
_ROAD = (
    r"(?:大道|大街|路|街|道|巷|弄|胡同|里|村|镇|乡|社区|小区|花园|家园|苑|大厦|广场|公寓|新村|"
    r"中心|园区|工业园|科技园|城|府|庄)"
)
_UNIT = r"(?:号楼|号院|号|栋|幢|座|单元|层|楼|室|房|户|组|弄|号铺|期)"
_ADDRESS = re.compile(
    rf"(?P<start>(?:{_PROVINCE})(?:省|市|自治区|壮族自治区|回族自治区|维吾尔自治区|特别行政区)?|"
    rf"{_TO}(?:是|为|在|改为|改成|变更为)?[：:\s]{{0,3}})"
    rf"(?P<chain>(?:{_WORD}{{1,7}}?(?:市|州(?!市)|盟|地区|区|县|旗))?(?:{_WORD}{{1,7}}?(?:区|县|"
    rf"市|旗|新区))?"
    rf"(?:{_WORD}{{1,7}}?(?:街道|镇|乡|办事处))?(?:{_WORD}{{0,10}}?{_ROAD}(?:[东西南北中][段路])?"
    rf"){{0,3}}[，, ]?(?:{_NUMBER}{_UNIT}){{0,5}}(?:[0-9]{{2,5}}(?![0-9]))?)"
)
_DISTRICT = re.compile(
    rf"(?:[{HANZI}]{{2,3}}市)?(?:[{HANZI}]{{2,4}}?[区县市])?(?:[{HANZI}]{{2,4}}?(?:街道|镇|乡))?"
    rf"[{HANZI}]{{1,5}}?(?:大道|大街|路|街|巷|弄|胡同|村|小区|社区|花园|新村|公寓|苑|"
    rf"里)(?:[东西南北中][段路])?"
    rf"[0-9]{{1,5}}(?:弄[0-9]{{1,5}})?号(?:{_NUMBER}{_UNIT}){{0,4}}(?:[0-9]{{2,5}}(?![0-9]))?"
)
_DETAIL = re.compile(rf"{_ROAD}|{_NUMBER}{_UNIT}")
_HOUSE = re.compile("[0-9]号")
_PRECISE = re.compile(rf"{_NUMBER}{_UNIT}")


def find(folded: str) -> Iterator[Found]:
    """Chains of places that lead to a road or a door; a city alone is none."""
    if folded.isascii():
        return
    chains = [Found(*place, "address") for place in _chains(folded)]
    yield from chains
    if not _HOUSE.search(folded):
        return
    for one in _DISTRICT.finditer(folded):
        # Where a chain begins is known better where something announces it.
        starts = [c.start for c in chains if c.start < one.end() and one.start() < c.end]
        yield Found(min(starts, default=one.start()), one.end(), "address")


def _chains(folded: str) -> Iterator[tuple[int, int]]:
    """From a province, or from a word that announces an address, to its last part."""
    for one in _ADDRESS.finditer(folded):
        chain = one["chain"]
        named = one["start"].startswith(tuple(_PROVINCE.split("|")))
        if _DETAIL.search(chain) and (named or _PRECISE.search(chain)):
            start = one.start() if named else one.start("chain")
            yield start, one.end() - len(chain) + len(chain.rstrip(" ,，"))
