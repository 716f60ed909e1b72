"""What rules find in texts, what they must leave, and what stands in for it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.settings import ProtectSettings
from upwell.stages.protect.redact.redactor import Redactor
from upwell.stages.protect.redact.surrogates import Surrogates, is_surrogate
from upwell.stages.protect.redact.text import KINDS, apart

KEY = bytes(32)
RULES = Redactor(KEY, ProtectSettings().off)
FOUND = [
    ("write to ann.lee+x@mail.example.org today", "email", "ann.lee+x@mail.example.org"),
    ("邮箱ann@example.cn，谢谢", "email", "ann@example.cn"),
    ("call (415) 555-2671 after six", "phone", "(415) 555-2671"),
    ("+44 20 7946 0958 is the office", "phone", "+44 20 7946 0958"),
    ("手机13800138000", "phone", "13800138000"),
    ("１３８００１３８０００是我的号", "phone", "１３８００１３８０００"),
    ("电话一三八零零一三八零零零", "phone", "一三八零零一三八零零零"),
    ("打010-62345678", "phone", "010-62345678"),
    ("card 4111 1111 1111 1111 was charged", "card", "4111 1111 1111 1111"),
    ("银行卡6222020000000000000", "card", "6222020000000000000"),
    ("身份证11010519491231002X", "resident_id", "11010519491231002X"),
    ("号码110105 19491231 002x", "resident_id", "110105 19491231 002x"),
    ("税号91350100M000100Y43", "company_id", "91350100M000100Y43"),
    ("pay to GB82 WEST 1234 5698 7654 32 please", "iban", "GB82 WEST 1234 5698 7654 32"),
    ("SSN 536-90-4399", "ssn", "536-90-4399"),
    ("from 192.168.10.25 again", "ip", "192.168.10.25"),
    ("at fe80::1ff:fe23:4567:890a", "ip", "fe80::1ff:fe23:4567:890a"),
    ("车牌京A12345", "plate", "京A12345"),
    ("粤BD12345停了", "plate", "粤BD12345"),
    ("护照E12345678", "passport", "E12345678"),
    ("港澳通行证C12345678", "permit", "C12345678"),
    ("HKID A123456(3)", "permit", "A123456(3)"),
    ("加我微信abc_12345", "chat", "abc_12345"),
    ("QQ：12345678", "chat", "12345678"),
    ("my driver's license is D1234567", "licence", "D1234567"),
    ("use sk-abcdEFGH1234567890xyz", "secret", "abcdEFGH1234567890xyz"),
    ("ghp_abcdefghijklmnopqrst1234", "secret", "abcdefghijklmnopqrst1234"),
    ("AKIAIOSFODNN7EXAMPLE", "secret", "IOSFODNN7EXAMPLE"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "secret", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0"
    ".c2ln"),
    ("password: hunter2", "secret", "hunter2"),
    ("密码是abc12345", "secret", "abc12345"),
    ("https://shop.example/a?page=2&token=abcd1234", "secret", "abcd1234"),
    ("ftp://ann:pa55@host.example/x", "secret", "ann:pa55"),
    ("my name is Anna Smith, hello", "name", "Anna Smith"),
    ("Dr. Okonkwo will see you", "name", "Okonkwo"),
    ("我叫王小明，你好", "name", "王小明"),
    ("欧阳娜娜女士来过", "name", "欧阳娜娜"),
    ("昨天李娜说可以", "name", "李娜"),
    ("ship to 742 Evergreen Terrace, Springfield", "address", "742 Evergreen Terrace, Springfield"),
    ("寄到北京市海淀区中关村大街27号3单元502室", "address", "北京市海淀区中关村大街27号3单元502室"),
]  # fmt: skip
LEFT = [
    "order 4111111111111111 has not shipped",
    "订单号13812345678还没发货",
    "1732783424123",
    "ts=1732783424123",
    "It costs 1,299.00 for 12 months",
    "2024-11-28 10:11:12",
    "version 1.2.3.4 is out",
    "单号SF1234567890123",
    "The Windows update of Monday was fine",
    "今天天气很好，高兴",
    "关于方案的任何问题，马上解决",
    "北京是首都",
    "4111111111111112 is no card",
    "12:30:45",
    "see https://shop.example/a?page=2",
    "price 100-200, size 36-38",
    "the token is wrong",
    "my password does not work",
    "请按 1 2 3 4 步操作",
]


@pytest.mark.parametrize(("text", "kind", "value"), FOUND)
def test_personal_data_are_found_whole(text: str, kind: str, value: str) -> None:
    found = [(one.kind, text[one.start : one.end]) for one in RULES.found([text])[0]]
    assert (kind, value) in found
    made = RULES.redact([text])[0]
    assert value not in made
    assert made.startswith(text[: text.index(value)][:3])


@pytest.mark.parametrize("text", LEFT)
def test_what_is_nobodys_stays(text: str) -> None:
    assert RULES.redact([text]) == [text]


@pytest.mark.parametrize(
    "wrong", ["110105194912310021", "110105194913310025", "990105194912310025"]
)
def test_a_resident_id_must_be_right(wrong: str) -> None:
    assert all(one.kind != "resident_id" for one in RULES.found([f"号码 {wrong}"])[0])


def test_a_value_has_one_surrogate_however_it_is_written() -> None:
    made = RULES.redact(
        ["电话138-0013-8000", "电话13800138000", "电话１３８００１３８０００", "电话13800138001"]
    )
    tails = [
        re.sub(r"\D", "", one.translate({0xFF10 + n: 48 + n for n in range(10)})) for one in made
    ]
    assert tails[0] == tails[1] == tails[2] != tails[3]


def test_another_project_has_other_surrogates() -> None:
    text = ["mail ann.lee@example.org"]
    assert RULES.redact(text) != Redactor(b"x" * 32).redact(text)


def test_surrogates_keep_length_and_shape() -> None:
    for text, _, _ in FOUND:
        made = RULES.redact([text])[0]
        assert len(made) == len(text)
        assert [one.isdigit() for one in made] == [one.isdigit() for one in text]
        assert [one.isspace() for one in made] == [one.isspace() for one in text]


def test_redacting_again_changes_nothing() -> None:
    once = RULES.redact([text for text, _, _ in FOUND])
    assert RULES.redact(once) == once


PIECES = st.sampled_from([text for text, _, _ in FOUND] + LEFT)


@settings(deadline=None, max_examples=200)
@given(st.lists(PIECES, min_size=1, max_size=4), st.sampled_from([" ", "，", ". ", "\n"]))
def test_redacting_again_changes_nothing_in_any_order(pieces: list[str], between: str) -> None:
    once = RULES.redact([between.join(pieces)])
    assert RULES.redact(once) == once


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_keeps_its_length(text: str) -> None:
    assert [len(one) for one in RULES.redact([text])] == [len(text)]


@given(st.sampled_from(KINDS), st.text(min_size=1, max_size=40))
def test_a_surrogate_is_seen_to_be_one(kind: str, value: str) -> None:
    made = Surrogates(KEY).of(kind, value)
    assert is_surrogate(kind, made)
    assert Surrogates(KEY).of(kind, made) == made


def test_a_kind_that_is_off_stays() -> None:
    text = "mail ann@example.org or call (415) 555-2671"
    made = Redactor(KEY, ("email",)).redact([text])[0]
    assert "ann@example.org" in made
    assert "555-2671" not in made


def test_finds_never_overlap() -> None:
    for text, _, _ in FOUND:
        found = RULES.found([text])[0]
        assert found == apart(found)


def test_hostile_texts_take_no_longer_than_others() -> None:
    for piece in ("a@", "1-", "1 ", "Mr. ", "12 Main ", "我叫王", "1号", "eyJ", "::1", "a.", "A "):
        times = []
        for size in (4_000, 16_000):
            text = piece * (size // len(piece))
            tries = []
            for _ in range(3):
                began = time.process_time()
                RULES.found([text])
                tries.append(time.process_time() - began)
            # What else runs on the machine only ever makes a try longer.
            times.append(min(tries))
        # Four times the text: linear is 4, quadratic 16.
        assert times[1] < max(9 * times[0], 0.1)
