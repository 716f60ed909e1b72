"""What stands in for personal data: as long, of the same shape, and seen to be a surrogate.

Every digit becomes a digit, every letter a letter, every Chinese character one, so offsets into a
text (labels of spans, say) still hold and a model still learns how such data are written. The
first half are marks (0, x, X, 某) and say that nothing here is real; the rest is drawn by
HMAC-SHA256 from the project's key, the kind and the value: one value has one surrogate within a
project, and without the key a guess at the value cannot be checked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import lru_cache

from upwell.stages.protect.redact.text import fold, listed

_DIGITS, _WIDE_DIGITS = "0123456789", "０１２３４５６７８９"
_NUMERALS = "〇一二三四五六七八九"
_SPOKEN = frozenset(_NUMERALS + "零幺两○壹贰叁肆伍陆柒捌玖")
_SMALL = "bcdfghjkmnpqrtvwz"
_LARGE = _SMALL.upper()
_WORDS = frozenset(("address", "name", "organisation", "place", "title"))
_DRAWN = frozenset(_SMALL + _LARGE + "xX")
_UNREAL = re.compile(f"[{_SMALL}{_LARGE}xX]{{5}}|[xX]{{3}}")
_NUMERIC = frozenset(
    ("resident_id", "card", "phone", "chat", "account", "ssn", "permit", "passport", "company_id")
)
_PARTS = frozenset("省市区县州旗盟镇乡村路街道巷弄号楼栋幢座室层单元大")
"""What tells that an address is one."""
_FAMILIES = listed("zh_surnames") | listed("zh_surnames_doubtful")
_HANZI = "".join(
    one
    for high in range(0xB0, 0xD7)
    for one in bytes(b for low in range(0xA1, 0xFF) for b in (high, low)).decode("gb2312")
    if one not in _FAMILIES
)
"""The common characters of GB 2312, level 1, without surnames, which could begin a name."""
_CACHED = 65_536


class Surrogates:
    """The surrogates of one project."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.of = lru_cache(_CACHED)(self._of)

    def _of(self, kind: str, value: str) -> str:
        """What stands in for ``value``; a surrogate stands in for itself.

        >>> made = Surrogates(bytes(32)).of("phone", "138-0013-8000")
        >>> len(made), made[:6], Surrogates(bytes(32)).of("phone", made) == made
        (13, '000-00', True)
        """
        if is_surrogate(kind, value):
            return value
        pools = [_pool(kind, one) for one in value]
        places = [place for place, pool in enumerate(pools) if pool]
        drawn = self._drawn(kind, value, len(places))
        marks = _marks(len(places))
        made = list(value)
        for n, place in enumerate(places):
            pool = pools[place]
            # From the end, so that a number with and without its prefix ends alike.
            number = drawn[len(places) - 1 - n]
            made[place] = pool[0] if n < marks else pool[1 + number % (len(pool) - 1)]
        return "".join(made)

    def _drawn(self, kind: str, value: str, size: int) -> list[int]:
        told = f"{kind}\0{_normal(kind, value)}".encode()
        seed = hmac.digest(self._key, told, hashlib.sha256)
        drawn = hashlib.shake_256(seed).digest(2 * size)
        return [drawn[2 * n] << 8 | drawn[2 * n + 1] for n in range(size)]


def is_surrogate(kind: str, value: str) -> bool:
    """Whether a value is one that ``Surrogates`` made: marks, then what it can have drawn."""
    if kind in _WORDS and _is_drawn(value):
        return True
    pools = ((one, _pool(kind, one)) for one in value)
    seen = ((one, pool) for one, pool in pools if pool)
    first = next(seen, None)
    if first is None:
        return True
    if first[0] != first[1][0]:
        return False
    rest = list(seen)
    marks = _marks(len(rest) + 1) - 1
    return all(one == pool[0] for one, pool in rest[:marks]) and all(
        one in pool for one, pool in rest[marks:]
    )


def _is_drawn(value: str) -> bool:
    """Whether a value can be a part of a surrogate: marks, or a word with no vowel in it."""
    letters = [one for one in value if one.isalpha()]
    return "某某" in value or (bool(_UNREAL.search(value)) and _DRAWN.issuperset(letters))


def _marks(size: int) -> int:
    return max(1, size // 2)


def _pool(kind: str, one: str) -> str:
    """The mark and what else may stand for a character; empty: it stays.

    A mark is never drawn but as one: it stands first in its pool and nowhere else.
    """
    if one in _DIGITS:
        return _DIGITS
    if "a" <= one <= "z":
        return "x" + _SMALL
    if "A" <= one <= "Z":
        return "X" + _LARGE
    if one.isascii():
        return ""
    return _pool_beyond(kind, one)


def _pool_beyond(kind: str, one: str) -> str:
    if one in _WIDE_DIGITS:
        return _WIDE_DIGITS
    if kind in _NUMERIC and one in _SPOKEN:
        return _NUMERALS
    if "\u3400" <= one <= "\u9fff" or one in "〇":
        return "" if kind == "address" and one in _PARTS else "某" + _HANZI
    if not one.isalpha():
        return ""
    return "X" + _LARGE if one.isupper() else "x" + _SMALL


def _normal(kind: str, value: str) -> str:
    """What two ways of writing the same value have in common."""
    plain = "".join(one for one in fold(value).casefold() if one.isalnum())
    if kind in _NUMERIC:
        plain = plain.translate(_PLAIN)
    return plain[2:] if kind == "phone" and len(plain) == 13 and plain[:2] == "86" else plain


_PLAIN = str.maketrans(
    "〇零○一幺二两三四五六七八九壹贰叁肆伍陆柒捌玖", "0001122" + "3456789" + "123456789"
)
