"""Numbers that identify: cards, accounts, resident IDs, company codes, social security, phones.

A run of digits is judged once, as a whole: what it could be by its own check digits, then what
the words around it say that it is. Words for orders, parcels and times say that it is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from upwell.stages.protect.redact import checks
from upwell.stages.protect.redact.phones import CUE, is_phone
from upwell.stages.protect.redact.text import SEEN, Found, near

_SURROGATE = "000"
"""What a number of a surrogate may begin with, whichever part of it a run is: no plan, issuer or
register gives such numbers out."""
FINDS = ("resident_id", "card", "account", "ssn", "phone", "iban", "company_id", "licence")
RUN = re.compile(
    r"(?<![0-9A-Za-z_@\\%])(?<![A-Za-z]-)(?<![A-Za-z_/.:]/)(?:\+ ?)?\(?[0-9]++"
    r"(?:(?:[ \-.()]{1,3}+(?:x|ext\.? ?)?|x)[0-9]++){0,9}+[Xx]?(?![0-9A-Za-z_@])"
)
_CLAUSE = re.compile(r"[,;!?。、()]")
_EXTENSION = re.compile(r" ?(?:x|ext)[. ]?[0-9]+$")
_NOT = re.compile(
    "订单|请求|单号|运单|快递|物流|包裹|流水|编号|工单|批次|序列|货号|商品|型号|版本|时间|戳|"
    "毫秒|票号|凭证|交易号|取件|"
    r"\b(?:order|orders|parcel|tracking|track|invoice|ticket|case|sku|ref|reference|serial|batch|"
    r"timestamp|ts|epoch|version|build|isbn|ean|upc|request|trace|session|shipment|transaction|"
    r"receipt|po|rma|created|updated|millis)\b"
)
_CARD = re.compile(
    r"卡|信用|借记|银联|账户|付款|\b(?:card|cards|cc|credit|debit|visa|mastercard|amex)\b"
)
_ACCOUNT = re.compile(
    r"银行账[号户]|银行帐[号户]|账号|帐号|卡号|储蓄|开户|\b(?:bank account|account (?:number|no|"
    r"#)|acct)\b"
)
_SSN = re.compile(r"\bssn\b|\bssns\b|social security|\bitin\b|taxpayer")
_ID = re.compile(r"身份|证件|证号|\bid ?card|resident id|national id")
_LICENCE = re.compile(
    r"(?:driver'?s?[ -]?licen[sc]e|driving licen[sc]e|\bdl\b|licen[sc]e (?=number|no|#|is)|"
    r"驾驶证|驾照)"
    r"(?:[ :#]| is| was| number| no\b\.?|号码?|是|为){0,5}"
    r"(?P<number>(?=[a-z-]{0,12}[0-9])[0-9a-z](?:-?[0-9a-z]){4,18})(?![0-9a-z])"
)
_SOCIAL = re.compile(r"[0-9]{3}([- ])[0-9]{2}\1[0-9]{4}")
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?:[ -]?[0-9A-Za-z]){11,30}+")
_COMPANY = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}(?![0-9A-Za-z])"
)
_COMPANY_CUE = re.compile(
    r"信用代码|统一社会|税号|纳税人|执照|\buscc\b|credit code|tax ?(?:id|no|number)"
)


def find(folded: str) -> Iterator[Found]:
    """Every kind of number in a folded text."""
    for run in RUN.finditer(folded):
        kind = _kind(folded, run)
        if kind is not None:
            yield Found(run.start(), run.end(), kind)
    yield from _ibans(folded)
    for run in _COMPANY.finditer(folded):
        if checks.is_company(run.group()) and _says_company(folded, run):
            yield Found(run.start(), run.end(), "company_id")
    for one in _LICENCE.finditer(folded.lower()):
        yield Found(*one.span("number"), "licence")


def _kind(folded: str, run: re.Match[str]) -> str | None:
    """What a run of digits is; None for nothing personal."""
    text = _EXTENSION.sub("", run.group())
    digits = "".join(one for one in text if one.isdigit())
    if not 5 <= len(digits) <= 20:
        return None
    if digits.startswith(_SURROGATE):
        return SEEN
    if len(digits) + text[-1:].upper().count("X") == 18 and checks.is_resident(digits, text[-1]):
        return "resident_id"
    around = near(folded, run.start(), run.end())
    before = around.partition("\x00")[0]
    other = _is_other(before[-24:]) and not _CARD.search(before[-12:])
    alone = run.end() - run.start() == len(folded.strip())
    return _by_words(text, digits, around, other, alone)


def _is_other(before: str) -> bool:
    """Whether the last words of the same clause that tell what a number is tell of no person."""
    clause = _CLAUSE.split(before.rstrip(" :,"))[-1]
    told = [one.end() for one in _NOT.finditer(clause)]
    return bool(told) and not CUE.search(clause, told[-1])


def _by_words(text: str, digits: str, around: str, other: bool, alone: bool) -> str | None:
    """The kind by check digits and by what stands around."""
    size = len(digits)
    if size == 15 and _ID.search(around) and checks.is_old_resident(digits):
        return "resident_id"
    if 12 <= size <= 19 and checks.luhn(digits) and _is_card(text, digits, around, other or alone):
        return "card"
    if 12 <= size <= 20 and _ACCOUNT.search(around) and not other:
        return "account"
    if size == 9 and _is_social(text, digits, around):
        return "ssn"
    if other or size > 16:
        return None
    return "phone" if is_phone(text, digits, around, alone) else None


def _is_card(text: str, digits: str, around: str, other: bool) -> bool:
    """Whether digits that are right by Luhn are a card: said to be, or of an issuer."""
    if _CARD.search(around) and not (other and not checks.is_issued(digits)):
        return True
    return checks.is_issued(digits) and (checks.is_grouped(text) or not other)


def _is_social(text: str, digits: str, around: str) -> bool:
    written = bool(_SOCIAL.fullmatch(text))
    return (written or bool(_SSN.search(around))) and checks.is_social(digits)


def _ibans(folded: str) -> Iterator[Found]:
    for run in _IBAN.finditer(folded):
        size = checks.iban_length(run.group())
        if size:
            yield Found(run.start(), run.start() + size, "iban")


def _says_company(folded: str, run: re.Match[str]) -> bool:
    if not run.group().isdigit():
        return True
    return bool(_COMPANY_CUE.search(near(folded, run.start(), run.end())))
