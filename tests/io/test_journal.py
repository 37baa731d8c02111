"""A journal keeps what was written, wherever it is cut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.errors import ProjectError
from napari_unet.io import journal as module
from napari_unet.io.journal import HEAD, Journal, Record, read_journal, scan, write_journal

abouts = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), max_size=3)
records = st.lists(st.builds(Record.of, abouts, st.binary(max_size=60)), max_size=8)


def blob_of(entries: list[Record]) -> bytes:
    return HEAD + b"".join(entry.encoded() for entry in entries)


@given(records, st.data())
def test_a_journal_cut_at_any_byte_holds_a_prefix(entries: list[Record], data: st.DataObject):
    blob = blob_of(entries)
    cut = data.draw(st.integers(0, len(blob)))
    found = scan(blob[:cut])
    whole = [entry for number, entry in enumerate(entries) if len(blob_of(entries[: number + 1])) <= cut]
    assert list(found.records) == whole
    assert found.end == (len(blob_of(whole)) if cut >= len(HEAD) else cut)
    assert found.damaged == 0


@given(records.filter(lambda entries: len(entries) >= 2), st.data())
def test_a_damaged_byte_costs_one_record(entries: list[Record], data: st.DataObject):
    blob = bytearray(blob_of(entries))
    place = data.draw(st.integers(len(HEAD), len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    hurt = next(n for n in range(len(entries)) if place < len(blob_of(entries[: n + 1])))
    found = scan(bytes(blob))
    assert list(found.records) == entries[:hurt] + entries[hurt + 1 :]
    assert found.damaged == (hurt < len(entries) - 1)


@given(records, records, st.integers(1, 30))
@settings(max_examples=30)
def test_a_torn_journal_is_written_on(tmp_path_factory, before: list[Record], after: list[Record], torn: int):
    path = tmp_path_factory.mktemp("journal") / "strokes.journal"
    lost = Record.of({"lost": 1}, b"x" * 40).encoded()
    path.write_bytes(blob_of(before) + lost[: min(torn, len(lost) - 1)])
    opened = Journal(path)
    opened.append(after)
    opened.close()
    assert list(read_journal(path).records) == before + after
    assert path.read_bytes() == blob_of(before + after)


@given(st.binary(max_size=300))
def test_foreign_bytes_are_refused_or_empty(blob: bytes):
    try:
        found = scan(blob)
    except ProjectError:
        return
    assert found.records == ()


def test_a_newer_version_is_not_touched(tmp_path: Path):
    path = tmp_path / "strokes.journal"
    path.write_bytes(HEAD.replace(b"001", b"002") + b"something")
    with pytest.raises(ProjectError, match="update napari-unet"):
        Journal(path)
    assert path.read_bytes().endswith(b"something")


def test_a_missing_journal_is_empty(tmp_path: Path):
    assert read_journal(tmp_path / "none").records == ()


def test_data_of_another_size_are_refused():
    record = Record.of({}, bytes(1_000_000))
    assert record.data(1_000_000) == bytes(1_000_000)
    for size in (10, 2_000_000):
        with pytest.raises(ProjectError, match="wrong size"):
            record.data(size)


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch):
    path = tmp_path / "strokes.journal"
    opened = Journal(path)
    opened.append([Record({"number": 1})])
    whole = path.read_bytes()

    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        opened.append([Record({"number": 2})])
    assert path.read_bytes() == whole
    monkeypatch.undo()
    opened.append([Record({"number": 3})])
    opened.close()
    assert [record.about["number"] for record in read_journal(path).records] == [1, 3]


def test_replacing_leaves_only_what_counts(tmp_path: Path):
    opened = Journal(tmp_path / "strokes.journal")
    opened.append(Record({"number": number}) for number in range(100))
    opened.replace([Record({"number": 99})])
    opened.append([Record({"number": 100})])
    opened.close()
    assert [record.about["number"] for record in read_journal(tmp_path / "strokes.journal").records] == [99, 100]


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_deleted_or_replaced_journal_is_noticed(tmp_path: Path):
    path = tmp_path / "strokes.journal"
    opened = Journal(path)
    assert not opened.gone
    path.unlink()
    assert opened.gone
    write_journal(path, [])
    assert opened.gone
    opened.close()
