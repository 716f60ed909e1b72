from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from upwell.records import PURPOSES, Consent
from upwell.stages.protect.consent import allows, permitted
from upwell.tables import to_table

START = datetime(2024, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def allowed(consents: list[Consent], purpose: str, now: datetime) -> list[str]:
    users: list[str] = permitted(to_table(Consent, consents), purpose, now).to_pylist()
    return users


def test_nobody_is_permitted_who_did_not_consent() -> None:
    assert allowed([], "train", START) == []
    assert allowed([Consent("1", "u", ("serve",), day(0))], "train", day(1)) == []


def test_consent_begins_and_ends() -> None:
    given_consent = [Consent("1", "u", ("train",), day(1), day(3))]
    found = [allowed(given_consent, "train", day(number)) for number in range(5)]
    assert found == [[], ["u"], ["u"], [], []]


def test_a_withdrawal_holds_from_its_time() -> None:
    history = [Consent("2", "u", (), day(2)), Consent("1", "u", ("train",), day(0))]
    assert [allowed(history, "train", day(number)) for number in (1, 2, 3)] == [["u"], [], []]


def test_an_expired_consent_does_not_revive_an_earlier_one() -> None:
    history = [
        Consent("1", "u", ("train",), day(0)),
        Consent("2", "u", ("train",), day(1), day(2)),
    ]
    assert allowed(history, "train", day(3)) == []


def test_of_two_that_begin_together_the_later_record_holds() -> None:
    grant, withdrawal = Consent("1", "u", ("train",), day(0)), Consent("2", "u", (), day(0))
    assert allowed([grant, withdrawal], "train", day(0)) == []
    assert allowed([withdrawal, grant], "train", day(0)) == ["u"]


days = st.integers(0, 6)
histories = st.lists(
    st.builds(
        lambda user, purposes, since, until: (user, purposes, since, until),
        st.sampled_from(["ann", "bob", "cyd", "dan"]),
        st.sets(st.sampled_from(PURPOSES)),
        days,
        st.none() | days,
    ),
    max_size=12,
)


def naive(consents: list[Consent], purpose: str, now: datetime) -> list[str]:
    """Read in words: of what has begun, the latest alone; it must name the purpose and last."""
    users = []
    for user in sorted({consent.user for consent in consents}):
        held = None
        for consent in consents:
            begun = consent.user == user and consent.since <= now
            if begun and (held is None or consent.since >= held.since):
                held = consent
        if held and purpose in held.purposes and (held.until is None or now < held.until):
            users.append(user)
    return users


@given(histories, days, st.sampled_from(PURPOSES))
def test_any_history_is_read_as_words_say(
    history: list[tuple[str, set[str], int, int | None]], today: int, purpose: str
) -> None:
    consents = [
        Consent(str(n), user, tuple(sorted(p)), day(s), None if u is None else day(u))
        for n, (user, p, s, u) in enumerate(history)
    ]
    expected = naive(consents, purpose, day(today))
    assert allowed(consents, purpose, day(today)) == expected
    for user in ("ann", "bob", "cyd", "dan"):
        mine = [one for one in consents if one.user == user]
        assert allows(mine, purpose, day(today)) == (user in expected)
