"""Names and addresses in Chinese: surnames with what is said around them, chains of places.

Without words around it a name is taken only where a common surname and characters common in given
names stand between marks or words that end a name. Sources of the lists: the hundred commonest
surnames of the Ministry of Public Security's yearly reports, and the provinces of GB/T 2260.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from upwell.stages.protect.redact.text import HANZI, Found, joined, listed

FINDS = ("name", "address")
_SURE, _DOUBTFUL = joined("zh_surnames"), joined("zh_surnames_doubtful")
"""Surnames, and those that are common words as well."""
_DOUBLE = (
    "欧阳|上官|司马|诸葛|司徒|东方|夏侯|皇甫|尉迟|公孙|慕容|长孙|宇文|令狐|端木|轩辕|南宫|呼延|赫连"
)
_GIVEN = joined("zh_given")
_AFTER_NAME = joined("zh_after_name") + "，。！？；：、,.!?;: \t\n\"'”’）)(（】]"
_CALLED = (
    r"(?:我叫|名叫|叫做|叫作|全名|姓名|名字|本人|[^个有没的][人者]|户主|户名|代表|乘客|旅客|学生|"
    r"员工|"
    r"客户|会员|用户|业主|租客|收件|寄件|签名|署名|家长|孩子|儿子|女儿|丈夫|妻子|老公|老婆|父亲|"
    r"母亲|实习生|月嫂|保姆|车主|店主|房主|学员|校友|店员|导游|教练|护工|秘书|助理|校长|"
    r"院长|队长|组长|科长|业务员|快递员|骑手|客服|代理|爸爸|妈妈|同事|同学|朋友|邻居|司机|经理|"
    r"主任|医生|律师|老师|师傅|我是|这是|他是|她是|"
    r"找|联系|转告|通知|交给|寄给|转给|汇给|发给|委托|由|感谢|麻烦|信息|我姓|填|叫|转)"
)
_CUED = re.compile(
    rf"{_CALLED}(?:名|名字)?(?:是|为|叫|就是)?[：:\s“\"'（(]{{0,3}}"
    rf"(?P<name>(?:{_DOUBLE}|[{_SURE}{_DOUBTFUL}])(?:·?[{HANZI}]){{1,2}})"
)
_SURNAME, _ANY = rf"(?:{_DOUBLE}|[{_SURE}])", rf"(?:{_DOUBLE}|[{_SURE}{_DOUBTFUL}])"
_LEAD = "我写成和与跟给找让请问向对由及叫是把替帮被为天次才刚"
_FIRM = (
    "(?:公司|集团|股份|证券|银行|大学|学院|路|街|市|县|区|镇|村|省|山|江|河|湖|岛|寺|站|厂|店|系|"
    "科|业|院|所|部|会)"
)
_END = rf"(?=$|[{re.escape(_AFTER_NAME)}])"
_TITLED = re.compile(
    rf"(?P<name>{_ANY}[{HANZI}]{{0,2}}?)(?:先生|女士|小姐|太太|阿姨|叔叔|大哥|大姐|师傅|老师|"
    rf"同学|警官|护士|大夫|医生)"
)
_OFFICE = re.compile(
    rf"(?:(?<![{HANZI}])|(?<=[{_LEAD}]))(?P<name>{_ANY}[{_GIVEN}]{{0,2}}?)"
    r"(?:经理|主任|总监|主管|律师|教授|院长|校长|书记)(?!事务所|协会)"
)
_ENDS = (
    "的在是和与及说来去到住电手身有已想要把给从向对被让请吗呢啊吧这那就也都还又不没将会能可为我你"
    "他她您"
)
_FREE = rf"(?:(?![{_ENDS}])[{HANZI}])"
_SPEAKS = (
    r"(?=说|打|来|问|要|让|先|也|接|下的|刚|昨|今|不|没|已|还|转|收|退|签|你好|您好|"
    r"的(?:电话|手机|账号|卡|地址|快递|订单|单|号|名|身份|包裹|家|钱|车))"
)
_BARE = re.compile(
    rf"(?:(?<![{HANZI}A-Za-z0-9])|(?<=[{_LEAD}]))"
    rf"(?P<name>{_SURNAME}(?:[{_GIVEN}]{_FREE}|{_FREE}[{_GIVEN}]){_END}|"
    rf"{_ANY}[{_GIVEN}]{{2}}{_END}"
    rf"|{_SURNAME}[{_GIVEN}]{_END}|{_ANY}[{_GIVEN}]{_SPEAKS}|{_ANY}{_FREE}{{2}}{_SPEAKS}|"
    rf"{_SURNAME}{_FREE}{_SPEAKS})"
    rf"|(?<![江黑工任下上本每这])(?P<whole>{_SURNAME}[{_GIVEN}]{{2}})(?!{_FIRM})"
    rf"|(?:^|(?<=\n))(?P<first>{_SURNAME}{_FREE}{{2}})(?=[:,、(/ ])"
    rf"|(?<=[{_LEAD}])(?P<last>{_SURNAME}{_FREE}|{_ANY}[{_GIVEN}]|{_ANY}(?:[{_GIVEN}]{_FREE}|"
    rf"{_FREE}[{_GIVEN}]))(?=$|[,。!?;、)])"
    rf"|(?<=[把给跟找让叫由请替帮向我])(?P<handed>{_SURNAME}{_FREE}{{2}}){_END}"
    rf"|(?<![{HANZI}])(?P<beside>{_ANY}{_FREE}{{1,2}})(?=[:,、(/ ]{{1,2}}\+?[0-9]{{3}})"
)
_NO_NAMES = listed("zh_no_names")
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
    """Names and addresses in a folded text."""
    if folded.isascii():
        return
    for one in _CUED.finditer(folded):
        name = _shortened(one["name"], folded[one.end() : one.end() + 1])
        if name:
            yield Found(one.start("name"), one.start("name") + len(name), "name")
    for pattern in (_TITLED, _OFFICE, _BARE):
        for one in pattern.finditer(folded):
            group = one.lastgroup or "name"
            if one[group][:2] not in _NO_NAMES:
                yield Found(*one.span(group), "name")
    yield from _addresses(folded)


def _shortened(name: str, following: str) -> str:
    """A name after a word that announces one, without what belongs to the sentence."""
    if len(name) > 2 and name[-1] in _ENDS and name[:2] not in _DOUBLE.split("|"):
        name = name[:-1]
    if name[:2] in _NO_NAMES or name[1] in _ENDS or len(name) < 2:
        return ""
    return name


def _addresses(folded: str) -> Iterator[Found]:
    """Chains of places that lead to a road or a door; a city alone is none."""
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
