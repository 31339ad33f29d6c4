"""A folder is replaced whole: whoever looks at any moment sees the old one or the new one."""

import os
import stat
import threading

import pytest

from mm_pipeline.files import atomic
from mm_pipeline.files.atomic import replacing_folder


def fill(folder, text: str) -> None:
    (folder / "below").mkdir()
    for name in ("a.txt", "b.txt", "below/c.txt"):
        (folder / name).write_text(text)


def content(folder) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["in one step", "in two steps"])
def place(request, tmp_path, monkeypatch):
    """A folder that is not there yet, on a file system that can exchange folders and on one that cannot."""
    if request.param == "in two steps":
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    return tmp_path / "published" / "2024"


def test_the_new_one_takes_the_place_of_the_old_one(place):
    for text in ("one", "two"):
        with replacing_folder(place) as folder:
            assert folder.parent == place.parent
            assert list(folder.iterdir()) == []
            fill(folder, text)
        assert content(place) == dict.fromkeys(["a.txt", "b.txt", "below/c.txt"], text)
        assert list(place.parent.iterdir()) == [place]


def test_a_failure_leaves_the_old_one(place):
    with replacing_folder(place) as folder:
        fill(folder, "one")

    def fail():
        with replacing_folder(place) as folder:
            fill(folder, "two")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert set(content(place).values()) == {"one"}
    assert list(place.parent.iterdir()) == [place]


def test_a_switch_in_two_steps_that_fails_puts_the_old_one_back(tmp_path, monkeypatch):
    """Regression: only a hidden folder was left, which looked like rubbish."""
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    place = tmp_path / "2024"
    with replacing_folder(place) as folder:
        fill(folder, "one")
    rename, renames = type(place).rename, []

    def second_one_fails(path, target):
        renames.append(target)
        if len(renames) == 2:
            raise OSError("no space")
        return rename(path, target)

    monkeypatch.setattr(type(place), "rename", second_one_fails)
    with pytest.raises(OSError, match="no space"), replacing_folder(place) as folder:
        fill(folder, "two")
    assert set(content(place).values()) == {"one"}
    assert list(tmp_path.iterdir()) == [place]


def test_everybody_may_read_it_whatever_the_umask(place):
    before = os.umask(0o077)
    try:
        with replacing_folder(place) as folder:
            fill(folder, "one")
    finally:
        os.umask(before)
    for path in (place, *place.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)


def test_a_reader_never_finds_half_of_it(tmp_path):
    """Only where folders can be exchanged; elsewhere there is a moment without."""
    place, probe = tmp_path / "2024", tmp_path / "probe"
    with replacing_folder(place) as folder:
        fill(folder, "0")
    probe.mkdir()
    (tmp_path / "other").mkdir()
    if not atomic._exchange(probe, tmp_path / "other"):
        pytest.skip("this file system cannot exchange two folders")
    done, seen, faults = threading.Event(), set(), []

    def read() -> None:
        while not done.is_set():
            try:
                handle = os.open(place, os.O_RDONLY)
            except FileNotFoundError:
                faults.append("no folder")
                return
            try:
                texts = set()
                for name in ("a.txt", "b.txt", "below/c.txt"):
                    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=handle)) as file:
                        texts.add(file.read())
            except FileNotFoundError:
                continue  # the folder that was opened is an old one by now, and being removed
            finally:
                os.close(handle)
            seen.update(texts)
            if len(texts) != 1:
                faults.append(str(texts))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 200):
        with replacing_folder(place) as folder:
            fill(folder, str(number))
    done.set()
    reader.join()
    assert not faults
    assert len(seen) > 1
