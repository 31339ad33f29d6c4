"""What lies in ``data/raw`` and is no file of its own: links, pipes, folders, and names that may be anything."""

import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mm_pipeline.errors import ReferenceDataError
from mm_pipeline.files import safe_names
from mm_pipeline.ingest import files
from mm_pipeline.ingest.delivery import data_version, delivery, years_delivered
from mm_pipeline.reference.areas import areas
from mm_pipeline_tests.support.ingestion import YEAR, Ingestion

DMG = "patient_id,practice_id\nP1,G1\n"
MEND = "Put the file itself there."


def outside(ingestion: Ingestion) -> Path:
    """A good delivery, and a secret, outside ``data/raw``."""
    folder = ingestion.settings.data_dir / "outside" / str(YEAR)
    folder.mkdir(parents=True)
    (folder / "dmg.csv").write_text(DMG)
    (folder / "manifest.json").write_text("{}")
    return folder


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("nothing.csv")


def bound(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may not be long
    try:
        listener.bind(path.name)
    finally:
        os.chdir(here)
        listener.close()


IRREGULAR: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link out": (
        lambda path: path.symlink_to(path.parents[2] / "outside" / str(YEAR) / path.name),
        "a symbolic link",
    ),
    "a relative link out": (lambda path: path.symlink_to(f"../../outside/{YEAR}/{path.name}"), "a symbolic link"),
    "a link that stays inside": (lambda path: path.symlink_to("other.csv"), "a symbolic link"),
    "a loop of links": (loop, "a symbolic link"),
    "a dangling link": (dangling, "a symbolic link"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "a symbolic link"),
    "a pipe": (pipe, "a named pipe"),
    "a socket": (bound, "a socket"),
    "a folder": (lambda path: path.mkdir(), "a folder"),
}


@pytest.mark.parametrize("name", ["dmg.csv", "dmg.csv.gz", "dmg.parquet"])
@pytest.mark.parametrize("kind", IRREGULAR)
def test_a_delivery_is_a_file_of_its_own(ingestion: Ingestion, kind: str, name: str) -> None:
    make, what = IRREGULAR[kind]
    outside(ingestion)
    make(ingestion.put("other.csv", DMG).with_name(name))
    assert ingestion.refused("dmg") == (
        f"2019/{name} is {what}; expected a file of its own: nothing outside data/raw is read as a delivery, and no link is "
        f"followed. {MEND}"
    )
    # Nor is it read to see whether anything changed; the year is out of date, so that its run says what is wrong.
    there = delivery(ingestion.settings, YEAR)
    assert there.present == {"dmg": ingestion.folder / name}
    assert there.sha256("dmg") == what
    assert years_delivered(ingestion.settings) == [YEAR]


@pytest.mark.parametrize("kind", IRREGULAR)
def test_so_is_a_manifest(ingestion: Ingestion, kind: str) -> None:
    make, what = IRREGULAR[kind]
    outside(ingestion)
    ingestion.put("dmg.csv", DMG)
    without = data_version(ingestion.settings, YEAR, "dmg", "")
    make(ingestion.folder / "manifest.json")
    assert ingestion.refused("dmg").startswith(f"2019/manifest.json is {what}; expected a file of its own")
    assert data_version(ingestion.settings, YEAR, "dmg", "") != without
    assert data_version(ingestion.settings, YEAR, "dmg", "") == data_version(ingestion.settings, YEAR, "dmg", "", what)


@pytest.mark.parametrize("target", ["../outside/2019", "2018", "nowhere", "2019"])
def test_a_year_is_a_folder_of_its_own(ingestion: Ingestion, target: str) -> None:
    outside(ingestion)
    ingestion.put("dmg.csv", DMG)
    ingestion.folder.rename(ingestion.folder.with_name("2018"))
    ingestion.folder.symlink_to(target)
    assert ingestion.refused("dmg").startswith("data/raw/2019 is a symbolic link; expected a folder of its own")
    there = delivery(ingestion.settings, YEAR)
    assert (there.present, there.misnamed, there.hindrance) == ({}, (), "a symbolic link")
    assert data_version(ingestion.settings, YEAR, "dmg", "") == data_version(ingestion.settings, YEAR, "dmg", "", "")
    assert years_delivered(ingestion.settings) == [2018, YEAR]


def test_a_file_in_the_place_of_a_year(ingestion: Ingestion) -> None:
    ingestion.settings.raw_dir.mkdir(parents=True)
    ingestion.folder.write_text(DMG)
    assert ingestion.refused("dmg").startswith("data/raw/2019 is no folder; expected a folder of its own")
    assert delivery(ingestion.settings, YEAR).hindrance == "no folder"


def test_data_raw_itself_may_be_a_link(ingestion: Ingestion) -> None:
    """Where the landing zone lies is the operator's matter."""
    elsewhere = ingestion.settings.data_dir / "elsewhere"
    (elsewhere / str(YEAR)).mkdir(parents=True)
    ingestion.settings.raw_dir.symlink_to(elsewhere)
    assert ingestion.take("dmg.csv", DMG).kept == 1
    assert years_delivered(ingestion.settings) == [YEAR]


def test_a_file_that_is_exchanged_for_a_link_in_between(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being found regular and being opened."""
    path = ingestion.put("dmg.csv", DMG)
    secret = outside(ingestion) / "dmg.csv"
    irregular, looks = safe_names.irregular, []

    def exchanged(asked: Path, *, follow: bool) -> str:
        what = irregular(asked, follow=follow)
        looks.append(asked)
        if looks.count(path) == 2:  # the first was to note which file it is
            path.unlink()
            path.symlink_to(secret)
        return what

    monkeypatch.setattr(safe_names, "irregular", exchanged)
    assert ingestion.refused("dmg").startswith("2019/dmg.csv cannot be read (Too many levels of symbolic links)")


def test_a_file_that_cannot_be_read(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback: as if its permissions did not allow it (the tests may run as root)."""
    ingestion.put("dmg.csv", DMG)

    def forbidden(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(safe_names, "opened", forbidden)
    assert ingestion.refused("dmg").startswith("2019/manifest.json cannot be read (Permission denied); ")
    monkeypatch.setattr(safe_names, "content", lambda path, _: (_ for _ in ()).throw(FileNotFoundError()))
    assert ingestion.refused("dmg").startswith(
        "2019/dmg.csv cannot be read (Permission denied); expected a readable file."
    )


@pytest.mark.parametrize(
    "name",
    [
        "../dmg.csv",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b.csv",
        "a\\b.csv",
        "dmg.csv\n",
        "a\x1b[2J",
        "a\u202eb",
        "a\ud800",
        "x" * 256,
    ],
)
def test_a_manifest_announces_plain_names(ingestion: Ingestion, name: str) -> None:
    ingestion.put("dmg.csv", DMG)
    ingestion.put("manifest.json", json.dumps({"files": {name: {}}}))
    message = ingestion.refused("dmg")
    assert message.startswith("2019/manifest.json: it announces a file '")
    assert "expected the plain name of a file in data/raw/2019, without a path" in message
    assert message.isprintable()
    assert len(message) < 400


ODD_NAMES = (
    "dmg\x1b[2J.csv",
    "dmg\n# heading.csv",
    "dmg](javascript:x).csv",
    "dmg<img src=x>.csv",
    "dmg`*_|.csv",
    "dmg\u202e.csv",
    "dmg\udcff.csv",
)


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_names_in_messages_break_nothing(ingestion: Ingestion, odd: str) -> None:
    """Neither the terminal nor the UI's Markdown, and a file name that is not UTF-8 can be printed."""
    ingestion.put(odd, DMG)
    ingestion.put(odd.replace("dmg", "contribution"), DMG)
    for name, said in (("dmg", "the folder holds contribution"), ("contributions", "contribution")):
        message = ingestion.refused(name)
        assert said in message
        assert message.isprintable()
        assert not set(message) & set("<>[]`*|#")
        message.encode()
    json.dumps(delivery(ingestion.settings, YEAR).misnamed).encode()


def test_few_of_many_names_are_said(ingestion: Ingestion) -> None:
    for number in range(1000):
        ingestion.put(f"{number:04}" + "x" * 200, "")
    message = ingestion.refused("dmg")
    assert "990 more" in message
    assert len(message) < 1500


def test_a_header_may_hold_a_row(ingestion: Ingestion) -> None:
    """A lost line end puts the first row into the header: of its names only words are quoted, for it holds a pseudonym."""
    ingestion.put("dmg.csv", "patient_id,practise_id49017,77X\nP1,G1\n")
    message = ingestion.refused("dmg")
    assert "column practice_id is missing; found patient_id, 2 that cannot be shown. " in message
    ingestion.put("dmg.csv", "patient_id,practise id,SS00020\nP1,G1,1\n")
    assert "found patient_id, practise id, SS00020. " in ingestion.refused("dmg")


def test_what_is_too_large_is_not_read_to_see_whether_it_changed(ingestion: Ingestion) -> None:
    path = ingestion.put("dmg.csv", DMG)
    assert delivery(ingestion.settings, YEAR).sha256("dmg") == hashlib.sha256(DMG.encode()).hexdigest()
    os.truncate(path, 10**13)
    assert delivery(ingestion.settings, YEAR).sha256("dmg") == "10000000000000 bytes"


def test_a_reference_file_may_be_a_link_but_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "refnis.csv")
    with pytest.raises(ReferenceDataError, match=r"refnis.csv: found a file that cannot be read \(a named pipe\)"):
        areas(tmp_path, YEAR)
    assert files.state_of(tmp_path / "refnis.csv") == "a named pipe"
