"""Keys, tokens and passwords: by the prefix of who issues them, by form, or by what is said."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from upwell.stages.protect.redact.text import Found

FINDS = ("secret",)
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk)[-_](?:live_|test_|proj-|ant-|or-v1-|svcacct-)?(?P<a>[A-Za-z0-9_-]{16,200})"
    r"|gh[pousr]_(?P<b>[A-Za-z0-9]{20,255})|github_pat_(?P<c>[A-Za-z0-9_]{22,255})"
    r"|glpat-(?P<d>[A-Za-z0-9_-]{20,64})|(?:AKIA|ASIA)(?P<e>[0-9A-Z]{16})(?![0-9A-Za-z])"
    r"|xox[abprs]-(?P<f>[A-Za-z0-9-]{10,250})|AIza(?P<g>[0-9A-Za-z_-]{35})|"
    r"hf_(?P<h>[A-Za-z0-9]{20,64})"
    r"|LTAI(?P<i>[A-Za-z0-9]{12,26})|AKID(?P<j>[A-Za-z0-9]{32})|npm_(?P<k>[A-Za-z0-9]{36})"
    r"|SG\.(?P<l>[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64})|pypi-(?P<m>[A-Za-z0-9_-]{50,250})"
    r"|up-(?P<n>[A-Za-z0-9]{12}-[A-Za-z0-9_-]{43})|ya29\.(?P<o>[A-Za-z0-9_-]{20,250})"
    r")"
)
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])(eyJ[A-Za-z0-9_-]{8,4000}+\.[A-Za-z0-9_-]{4,4000}+\.[A-Za-z0-9_-]{0,1000}+)"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}(?:PRIVATE KEY|CERTIFICATE)-----")
_PEM_END = re.compile(r"-----END [A-Z ]{0,40}-----")
_SAID = re.compile(
    r"(?:(?<![A-Za-z])(?:password|passwd|passcode|passphrase|pwd|secret|(?:access|auth|api|"
    r"refresh|id)?[ _-]?token|"
    r"(?:api|access|secret|private|account|signing|encryption)[ _-]?key|client[ _-]secret|bearer|"
    r"authorization)|"
    r"密码|口令|令牌|密钥|凭据|验证码)"
    r"(?:[\"']?[ ]{0,2}(?P<sign>[:=]|是|为|就是|改成|is|was|to)[ ]{0,2}|[ "
    r"]{1,2}(?=\S*[0-9]))[\"'`]?(?P<value>[^\s\"'`,;&。；、\u4e00-\u9fff]{4,256})",
    re.IGNORECASE,
)
_ENOUGH_BITS = 3.0


def find(folded: str) -> Iterator[Found]:
    """Secrets; an issuer's prefix stays, so that it still tells the kind."""
    for one in _ISSUED.finditer(folded):
        yield Found(*one.span(one.lastgroup or 0), "secret")
    for one in _JWT.finditer(folded):
        yield Found(*one.span(1), "secret")
    for begin in _PEM.finditer(folded):
        closing = _PEM_END.search(folded, begin.end())
        until = closing.start() if closing else len(folded)
        yield Found(begin.end(), until, "secret")
    for one in _SAID.finditer(folded):
        start, end = one.span("value")
        value = folded[start:end].rstrip(".!?)")
        if value and _secret(value, one["sign"] or ""):
            yield Found(start, start + len(value), "secret")


def _secret(value: str, sign: str) -> bool:
    """Whether what follows a word for a secret is one, and not the sentence going on."""
    if value.isalpha():
        return len(value) >= 16 and _bits(value) >= _ENOUGH_BITS
    if value.isdigit():
        return len(value) >= 4 and sign not in ("", "to")
    return any(one.isdigit() for one in value) or sign in (":", "=")


def _bits(text: str) -> float:
    """Shannon entropy of the characters, in bits each."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)
