"""MovieLens-100K: three formats, one content; damaged copies are refused and named."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import compute as pc
from pyarrow import parquet

from upwell.errors import SourceError
from upwell.sources import movielens
from upwell.sources._movielens_data import MovieLens, describe, kept_in, verify
from upwell.stages.collect.intake import sort_out


@pytest.fixture
def place(tmp_path: Path) -> Path:
    location, _ = movielens.toy(tmp_path)
    return Path(location)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No copy anywhere, and a cache of the test's own."""

    def no_pip(*_: object, **__: object) -> None:
        raise OSError("no pip")

    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UPWELL_OFFLINE", "1")
    monkeypatch.delenv("UPWELL_DATA", raising=False)
    monkeypatch.setattr("upwell.sources._movielens_copies.subprocess.run", no_pip)
    return tmp_path


def code_of(location: Path | str) -> str:
    with pytest.raises(SourceError) as caught:
        list(movielens.read(str(location), {}))
    assert all(caught.value.explain(lang) for lang in ("en", "zh"))
    return caught.value.code


def read(location: Path | str) -> pa.Table:
    return pa.Table.from_batches(movielens.read(str(location), {}))


def as_recbole(place: Path, folder: Path) -> Path:
    """The toy in RecBole's spelling."""
    data = kept_in(place)
    rows = {
        "inter": ["u:token\ti:token\tr:float\tt:float"]
        + ["\t".join(map(str, row.values())) for row in data.ratings.to_pylist()],
        "item": ["i:token\tm:token_seq\ty:token\tc:token_seq"],
        "user": ["u:token\ta:token\tg:token\to:token\tz:token"]
        + ["\t".join([*map(str, row.values()), "0"]) for row in data.users.to_pylist()],
    }
    for row in data.items.to_pylist():
        title, _, year = row["title"].removesuffix(")").rpartition(" (")
        title, year = (title, year) if title else ("unkonwn", "unkonwn")
        genres = " ".join(row["genres"]) or "unknown"
        rows["item"].append(f"{row['item']}\t{title}\t{year}\t{genres}")
    folder.mkdir()
    for ending, lines in rows.items():
        (folder / f"ml-100k.{ending}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copy(place / "manifest.json", folder)
    return folder


def test_facts_come_before_what_they_are_needed_for(place: Path) -> None:
    events = read(place)
    assert events["at"].to_pylist() == sorted(events["at"].to_pylist())
    kinds = pc.value_counts(events["kind"]).to_pylist()
    assert {row["values"]: row["counts"] for row in kinds} == {"item": 4, "user": 3, "rating": 8}
    seen: set[str] = set()
    for event in events.to_pylist():
        if event["kind"] == "rating":
            assert {event["user"], f"item {event['item']}"} <= seen
        seen.add(event["user"] if event["kind"] == "user" else f"item {event['item']}")


def test_payloads_tell_what_is_known(place: Path) -> None:
    events = {event["id"]: event for event in read(place).to_pylist()}
    film = json.loads(events["item-3"]["payload"])
    assert film == {"title": "Les Misérables (1995)", "genres": ["Drama", "Musical"], "year": 1995}
    assert json.loads(events["item-4"]["payload"]) == {
        "title": "unknown",
        "genres": [],
        "year": None,
    }
    person = json.loads(events["user-2"]["payload"])
    assert person == {"age": 53, "gender": "F", "occupation": "other"}
    assert events["rating-000002"]["value"] == 1.0


def test_ratings_of_the_same_second_keep_the_order_of_the_data(place: Path) -> None:
    rated = [row["id"] for row in read(place).to_pylist() if row["kind"] == "rating"]
    assert rated[:2] == ["rating-000001", "rating-000002"]


def test_every_format_gives_the_same_events(place: Path, tmp_path: Path) -> None:
    data, folder = kept_in(place), tmp_path / "parquet"
    folder.mkdir()
    for part in ("ratings", "items", "users"):
        parquet.write_table(getattr(data, part), folder / f"{part}.parquet")
    shutil.copy(place / "manifest.json", folder)
    expected = read(place)
    assert read(folder).equals(expected)
    assert read(as_recbole(place, tmp_path / "recbole")).equals(expected)


def test_a_zip_and_a_file_inside_a_folder_name_the_data_too(place: Path, tmp_path: Path) -> None:
    packed = tmp_path / "ml-100k.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("u.data", "u.item", "u.user"):
            archive.write(place / name, f"ml-100k/{name}")
    assert describe(kept_in(packed)) == describe(kept_in(place))
    assert code_of(packed) == "source.too_few"
    assert read(place / "u.data").equals(read(place))


def test_intake_accepts_every_event(place: Path) -> None:
    sorted_out = sort_out(read(place), "movielens", movielens.CATALOGUE_KNOWN)
    assert sorted_out.events.num_rows == 15
    assert sorted_out.bad.num_rows == 0


def test_rows_may_come_in_any_order_but_not_with_other_content(place: Path) -> None:
    data = kept_in(place)
    turned = MovieLens(data.ratings.take(list(range(8))[::-1]), data.items, data.users)
    assert describe(turned) == describe(data)
    rating = data.ratings.column_names.index("rating")
    other = data.ratings.set_column(rating, "rating", pa.array([5, 1, 3, 4, 4, 2, 5, 2]))
    with pytest.raises(SourceError) as caught:
        verify("x", MovieLens(other, data.items, data.users), describe(data))
    assert caught.value.code == "source.altered"
    assert caught.value.details["part"] == "ratings"


def test_what_is_missing_cut_or_altered_is_named(place: Path, tmp_path: Path) -> None:
    assert code_of(tmp_path / "nothing") == "source.not_found"
    (tmp_path / "empty").mkdir()
    assert code_of(tmp_path / "empty") == "source.nothing_inside"
    content = (place / "u.data").read_text(encoding="utf-8")
    (place / "u.data").write_text(content[:40], encoding="utf-8")
    assert code_of(place) in ("source.too_few", "source.unreadable")
    (place / "u.data").write_text(content + content.splitlines()[0], encoding="utf-8")
    assert code_of(place) == "source.altered"
    (place / "u.data").write_text(content, encoding="utf-8")
    (place / "u.item").rename(place / "gone")
    assert code_of(place) == "source.missing_file"
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04" + b"\x00" * 30)
    assert code_of(broken) == "source.unreadable"
    (place / "manifest.json").write_text("{", encoding="utf-8")
    assert code_of(place) == "source.unreadable"


def test_where_there_is_no_copy_each_place_is_told(nowhere: Path) -> None:
    with pytest.raises(SourceError) as caught:
        list(movielens.read("", {}))
    assert caught.value.code == "source.no_copy"
    assert "no pip" in str(caught.value.details["tried"])
    assert "GroupLens" not in str(caught.value.details["tried"])


def real_data() -> Path:
    """MovieLens-100K itself, where this machine has it."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    found = Path(os.environ.get("UPWELL_DATA", beside)) / "ml-100k"
    if not found.is_dir():
        pytest.skip("MovieLens-100K is not on this machine; set UPWELL_DATA to the folder above it")
    return found


def test_what_was_fetched_is_cached_and_found_again(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPWELL_DATA", str(real_data().parent))
    assert read("").num_rows == 102_625
    monkeypatch.delenv("UPWELL_DATA")
    packed = nowhere / "fetched.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in real_data().glob("*.parquet"):
            archive.write(file, file.name)
    monkeypatch.delenv("UPWELL_OFFLINE")
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(packed.read_bytes()))
    assert read("").equals(read(real_data()))
    monkeypatch.setenv("UPWELL_OFFLINE", "1")
    assert read("").num_rows == 102_625
    assert not [path for path in (nowhere / "cache").iterdir() if path.name.startswith(".")]
    ratings = nowhere / "cache" / "ml-100k" / "ratings.parquet"
    ratings.write_bytes(ratings.read_bytes()[:1000])
    with pytest.raises(SourceError) as caught:
        read("")
    assert "ratings.parquet" in str(caught.value.details["tried"])


def test_the_real_data_have_their_known_size() -> None:
    events = read(real_data())
    rated = events.filter(pc.equal(events["kind"], "rating"))
    assert events.num_rows == 100_000 + 1_682 + 943
    shares = {row["values"]: row["counts"] for row in pc.value_counts(rated["value"]).to_pylist()}
    assert shares == {1.0: 6110, 2.0: 11370, 3.0: 27145, 4.0: 34174, 5.0: 21201}
