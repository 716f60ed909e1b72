"""Made-up personal data of China, right by their check digits, and numbers that are none."""

from __future__ import annotations

import string
from collections.abc import Callable

from bench.redaction.draw import Draw
from bench.redaction.wording import CITIES, GIVEN, MAILS, ROADS, ROOMS, SURNAMES

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CODES = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_PLATE = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_SPOKEN = str.maketrans("0123456789", "零一二三四五六七八九")
_HANZI = [bytes((a, b)).decode("gb2312") for a in range(0xB0, 0xD7) for b in range(0xA1, 0xFF)]
_MOBILE = (
    "130 131 135 136 137 138 139 150 151 152 157 158 159 166 176 177 178 180 181 183 186 187 188 "
    "189 191 198 199"
)
_AREAS = (
    "010 020 021 022 023 024 025 027 028 029 0311 0351 0371 0411 0431 0451 0512 0532 0551 0571 "
    "0591 0731 0755 0771 0851 0871 0931"
)
_REGIONS = (
    "110101 120101 130102 210102 310104 320102 330106 350203 370102 410102 420106 430102 440305 "
    "500103 510104 610103 650102"
)


def digits(rng: Draw, size: int) -> str:
    """Random digits."""
    return "".join(rng.choices(string.digits, size))


def name(rng: Draw) -> str:
    """A surname as often as people have it, and one or two characters, some of them rare."""
    ranks = range(len(SURNAMES))
    surname = rng.weighed(SURNAMES, [1 / (rank + 8) for rank in ranks])
    size = rng.choice((1, 2, 2))
    return surname + "".join(
        rng.choice(GIVEN if rng.random() < 0.8 else _HANZI) for _ in range(size)
    )


def mobile(rng: Draw) -> str:
    """A mobile number, plain, in groups, with +86, full-width or in Chinese numerals."""
    head, tail = rng.choice(_MOBILE.split()), digits(rng, 8)
    plain = head + tail
    return rng.choice((
        plain, plain, plain, f"{head}-{tail[:4]}-{tail[4:]}", f"{head} {tail[:4]} {tail[4:]}",
        f"+86{plain}", f"+86 {head} {tail[:4]} {tail[4:]}", f"86-{plain}",
        plain.translate(_WIDE), plain.translate(_SPOKEN),
    ))  # fmt: skip


def landline(rng: Draw) -> str:
    """A number with its area code."""
    area = rng.choice(_AREAS.split())
    number = rng.choice("2345678") + digits(rng, 7)
    return rng.choice(
        (f"{area}-{number}", f"{area}{number}", f"({area}){number}", f"（{area}）{number}")
    )


def resident(rng: Draw) -> str:
    """A resident ID, its check digit right; some in groups or full-width."""
    born = f"{rng.randint(1945, 2012)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    body = f"{rng.choice(_REGIONS.split())}{born}{digits(rng, 3)}"
    total = sum(int(one) * weight for one, weight in zip(body, _WEIGHTS, strict=True))
    whole = body + "10X98765432"[total % 11]
    return rng.choice((
        whole, whole, whole.lower(), f"{whole[:6]} {whole[6:14]} {whole[14:]}",
        f"{whole[:6]}-{whole[6:14]}-{whole[14:]}", whole.translate(_WIDE),
    ))  # fmt: skip


def card(rng: Draw) -> str:
    """A UnionPay card of 16 or 19 digits, or a Visa, right by Luhn."""
    head, size = rng.choice(
        (("622202", 19), ("621700", 19), ("622588", 16), ("625965", 16), ("4392", 16))
    )
    body = head + digits(rng, size - len(head) - 1)
    total = sum(sum(divmod(2 * int(one), 10)) for one in body[-1::-2]) + sum(map(int, body[-2::-2]))
    whole = body + str(-total % 10)
    return rng.choice(
        (
            whole,
            whole,
            " ".join(whole[n : n + 4] for n in range(0, size, 4)),
            whole.translate(_WIDE),
        )
    )


def company(rng: Draw) -> str:
    """A unified social credit code, its check character right."""
    body = f"91{rng.choice(_REGIONS.split())}MA{''.join(rng.choices(_CODES, 7))}"
    total = sum(_CODES.index(one) * pow(3, n, 31) for n, one in enumerate(body))
    return body + _CODES[-total % 31]


def plate(rng: Draw) -> str:
    """A number plate, also of new-energy cars."""
    region = rng.choice("京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼")
    letter, dot = rng.choice("ABCDEFGHJKLMN"), rng.choice(("", "", "·", " "))
    common = "".join(rng.choices(_PLATE, 4)) + rng.choice(string.digits)
    energy = rng.choice("DF") + rng.choice(_PLATE) + digits(rng, 4)
    return f"{region}{letter}{dot}{rng.choice((common, common, energy))}"


def passport(rng: Draw) -> str:
    """A passport of the People's Republic."""
    return rng.choice(
        (f"E{digits(rng, 8)}", f"G{digits(rng, 8)}", f"E{rng.choice('ABCDEFGH')}{digits(rng, 7)}")
    )


def permit(rng: Draw) -> str:
    """A permit to or from Hong Kong, Macao or Taiwan."""
    return rng.choice(
        (f"C{digits(rng, 8)}", f"H{digits(rng, 8)}", f"M{digits(rng, 10)}", digits(rng, 8))
    )


def chat(rng: Draw) -> str:
    """A WeChat id."""
    return (
        rng.choice("abcdefghjkmw")
        + "".join(rng.choices(string.ascii_lowercase + string.digits + "_-", rng.randint(6, 14)))
        + rng.choice("23456789")
    )


def qq(rng: Draw) -> str:
    """A QQ number."""
    return rng.choice("123456789") + digits(rng, rng.randint(5, 9))


def mail(rng: Draw) -> str:
    """An e-mail address."""
    local = "".join(rng.choices(string.ascii_lowercase, rng.randint(3, 9))) + rng.choice(
        ("", digits(rng, 3))
    )
    return f"{local}@{rng.choice(MAILS)}"


def machine(rng: Draw) -> str:
    """An IP address."""
    if rng.random() < 0.3:
        return ":".join(f"{rng.randint(1, 65535):x}" for _ in range(8))
    return ".".join(str(rng.randint(1, 254)) for _ in range(4))


def address(rng: Draw) -> str:
    """A postal address, with or without its province, to the door or to the house."""
    province, city, district = rng.choice(CITIES)
    number = rng.randint(1, 999)
    road = f"{rng.choice(ROADS)}{number}号"
    room = rng.choice(ROOMS).format(rng.randint(1, 30), rng.randint(1, 6), rng.randint(101, 2804))
    return (
        rng.choice((province + city, city, province + city, ""))
        + district
        + road
        + rng.choice((room, room, ""))
    )


def order(rng: Draw) -> str:
    """A number of an order, of a parcel, or a time: nothing personal."""
    now = rng.randint(1_500_000_000_000, 1_790_000_000_000)
    day = f"20{rng.randint(15, 26)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    return rng.choice((
        str(now), str(now), str(now // 1000), f"{now}{digits(rng, 3)}",
        digits(rng, rng.randint(9, 20)),
        day + digits(rng, rng.randint(4, 12)), f"{day}{rng.randint(0, 23):02}{digits(rng, 4)}"
        f"{digits(rng, 6)}",
        f"SF{digits(rng, 13)}", f"YT{digits(rng, 13)}", f"{digits(rng, 3)}-{digits(rng, 7)}-"
        f"{digits(rng, 7)}",
        f"JD{digits(rng, 11)}", f"DD-{day}-{digits(rng, 6)}", digits(rng, 18), digits(rng, 11),
    ))  # fmt: skip


Value = tuple[str, Callable[[Draw], str]]
VALUES: dict[str, Value] = {
    "name": ("name", name), "mobile": ("phone", mobile), "landline": ("phone", landline),
    "resident": ("resident_id", resident), "card": ("card", card),
    "company": ("company_id", company),
    "plate": ("plate", plate), "passport": ("passport", passport), "permit": ("permit", permit),
    "wechat": ("chat", chat), "qq": ("chat", qq), "mail": ("email", mail), "ip": ("ip", machine),
    "address": ("address", address),
}  # fmt: skip
"""What a template may ask for: the kind it is, and what makes one."""
