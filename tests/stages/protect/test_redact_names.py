"""Names in Chinese, addresses of Europe and America, and a model's finds put right."""

from __future__ import annotations

import pytest

from upwell.settings import ProtectSettings
from upwell.stages.protect.redact.chinese_names import find
from upwell.stages.protect.redact.redactor import Redactor
from upwell.stages.protect.redact.spans import joined, trimmed
from upwell.stages.protect.redact.text import Found

RULES = Redactor(bytes(32), ProtectSettings().off)
NAMED = [
    ("老板王梓轩还没发工资", ["王梓轩"]),
    ("您好，我找一下刘志强，谢谢", ["刘志强"]),
    ("听陈晓峰说今天不开门", ["陈晓峰"]),
    ("上周五周慧敏来退过货", ["周慧敏"]),
    ("合同登记在孙丽名下", ["孙丽"]),
    ("参会：赵刚、钱芳和孙伟", ["赵刚", "钱芳", "孙伟"]),
    ("司马懿先生，您的车到了", ["司马懿"]),
    ("姓名：高峰", ["高峰"]),
    ("我叫文静，来自成都", ["文静"]),
    ("李女士投诉过两次", ["李"]),
    ("把刘思源的座位换一下", ["刘思源"]),
    ("麻烦转接何雨晴", ["何雨晴"]),
]
NOBODY = [
    "周末高兴地买了黄瓜和马铃薯",
    "由于时间关系，感谢配送师傅",
    "师傅辛苦了，牛肉不错",
    "现任董事，曾任经理",
    "汤洒了，米饭还行",
    "白天和方便面，任何问题马上解决",
    "谢谢老师，金额不对",
    "常州到温州的高铁",
    "这是严重的安全问题",
    "许多顾客都在排队",
]
PLACED = [
    ("send it to PSC 1234, Box 5678\nAPO AE 09012 please", "PSC 1234, Box 5678\nAPO AE 09012"),
    ("our office: 742 Evergreen Terrace Suite 12\nSpringfield, OR\nUnited States 97477",
     "742 Evergreen Terrace Suite 12\nSpringfield, OR\nUnited States 97477"),
    ("at 12 Rue de la Paix, Paris, France. Please call", "12 Rue de la Paix, Paris, France"),
    ("Lindenstraße 7, 10969 Berlin", "Lindenstraße 7, 10969 Berlin"),
    ("zip: 5662", "5662"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "names"), NAMED)
def test_chinese_names_are_found(text: str, names: list[str]) -> None:
    assert [text[one.start : one.end] for one in find(text)] == names


@pytest.mark.parametrize("text", NOBODY)
def test_words_of_everyday_chinese_are_no_names(text: str) -> None:
    assert list(find(text)) == []


@pytest.mark.parametrize(("text", "address"), PLACED)
def test_addresses_are_found_with_their_lines(text: str, address: str) -> None:
    found = [text[one.start : one.end] for one in RULES.found([text])[0] if one.kind == "address"]
    assert found == [address]


def test_a_phone_in_an_address_leaves_the_rest_of_it_found() -> None:
    text = "to 94880 1486 Zigzag Road Apt. 920, Springfield"
    made = RULES.redact([text])[0]
    assert "Zigzag" not in made
    assert "Springfield" not in made


def test_an_address_is_redacted_once() -> None:
    for text, _ in PLACED:
        once = RULES.redact([text])
        assert RULES.redact(once) == once


def test_finds_of_a_model_are_whole_words_without_greetings() -> None:
    found = trimmed("Hi Ann Leeds).", [(0, 9, "name"), (0, 2, "name")])
    assert list(found) == [Found(3, 12, "name")]
    assert list(trimmed("我找王小明，谢谢", [(2, 4, "name")])) == [Found(2, 4, "name")]


def test_a_name_and_its_initial_are_one() -> None:
    parts = [Found(0, 3, "name"), Found(7, 10, "name"), Found(11, 15, "phone")]
    assert joined("Ann B. Lee 1234", parts) == [Found(0, 10, "name"), Found(11, 15, "phone")]
    assert joined("Ann or Lee", parts[:2]) == parts[:2]
