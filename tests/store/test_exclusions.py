"""Exclusions and what is known of versions: only ever added to."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.store.test_ledger import version

from upwell.store.exclusions import Exclusions, Taint
from upwell.store.journal import Journal
from upwell.store.ledger import Ledger


def test_the_first_record_of_an_exclusion_stands(journal: Journal, now: datetime) -> None:
    exclusions = Exclusions(journal)
    first = exclusions.add("user", "a pseudonym", now, "bought thumbs")
    other = exclusions.add("source", "a pseudonym", now, "a source of that name")
    again = exclusions.add("user", "a pseudonym", now + timedelta(days=1), "another reason")
    assert again == first
    assert exclusions.all() == [first, other]
    assert (exclusions.names("user"), exclusions.names("source")) == (["a pseudonym"],) * 2


def test_what_is_known_of_a_version_stays(journal: Journal, now: datetime) -> None:
    exclusions = Exclusions(journal)
    Ledger(journal).add_version(version("m1", now))
    one, other = (exclusions.add("user", name, now, "") for name in ("one", "other"))
    exclusions.mark([])
    exclusions.mark([Taint("m1", one.seq, 7), Taint("m1", other.seq, None)])
    exclusions.mark([Taint("m1", one.seq, 8)])
    found = {taint.exclusion: taint.rows for taint in exclusions.taints()}
    assert found == {one.seq: 7, other.seq: None}
