"""What a key of a payload says of its value: an id that the loop joins on, an answer, or a kind."""

from __future__ import annotations

from functools import lru_cache

from upwell.stages.protect.redact.text import listed

ANSWERS = frozenset(("target", "correction", "output"))
_KEPT = listed("kept_keys")
_SAID = {
    "email": "email emailaddress mail 邮箱 电子邮箱 电子邮件",
    "phone": "phone phonenumber phoneno mobile mobilenumber mobilephone tel telephone cell "
    "cellphone fax whatsapp "
    "手机 手机号 手机号码 电话 电话号码 联系电话 联系方式 座机",
    "name": "fullname firstname lastname surname realname givenname familyname middlename "
    "customername contactname "
    "recipientname 姓名 名字 真实姓名 联系人 收件人 收货人",
    "address": "address streetaddress street homeaddress shippingaddress billingaddress "
    "deliveryaddress postaladdress "
    "地址 收货地址 住址 家庭住址 详细地址",
    "resident_id": "idcard idcardno idcardnumber identitycard nationalid 身份证 身份证号 "
    "身份证号码 证件号",
    "passport": "passport passportno passportnumber 护照 护照号",
    "ssn": "ssn socialsecuritynumber",
    "card": "cardnumber cardno creditcard creditcardnumber bankcard debitcard 卡号 银行卡 "
    "银行卡号 信用卡",
    "account": "userid username useruid login accountnumber bankaccount 账号 帐号 用户名",
    "iban": "iban",
    "ip": "ip ipaddress ipaddr clientip remoteip remoteaddr userip",
    "plate": "licenseplate plate platenumber 车牌 车牌号",
    "chat": "wechat wechatid qq weixin 微信 微信号",
    "secret": "password passwd pwd secret apikey accesstoken authtoken refreshtoken sessiontoken "
    "privatekey 密码 密钥",
}
_CACHED = 4096
_KINDS = {key: kind for kind, keys in _SAID.items() for key in keys.split()}


@lru_cache(_CACHED)
def kind_of(key: str) -> str:
    """The kind of personal data that a value under ``key`` is; '' where the key does not say.

    >>> kind_of("phone_number"), kind_of("收货人"), kind_of("title")
    ('phone', 'name', '')
    """
    return _KINDS.get(_plain(key), "")


@lru_cache(_CACHED)
def is_kept(key: str) -> bool:
    """Whether a value under ``key`` is an id or a name of the loop's own, and stays as it is."""
    return _plain(key) in _KEPT


def _plain(key: str) -> str:
    return "".join(one for one in key.casefold() if one.isalnum())
