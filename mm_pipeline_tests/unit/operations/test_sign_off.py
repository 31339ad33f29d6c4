"""The sign-off: whose signature counts for which content, what is said of a file that cannot be used, who may read it."""

import json
import stat
from dataclasses import replace

import pytest
from click.testing import CliRunner

from mm_pipeline.cli import main
from mm_pipeline.errors import OperatorError
from mm_pipeline.files.checksum import sha256
from mm_pipeline.operations import sign_off
from mm_pipeline.operations.sign_off import (
    Awaited,
    awaited,
    keep_signature,
    read_signature,
    released_before,
    signed_before,
    stop_waiting,
    waiting_folder,
    years_awaiting,
)
from mm_pipeline.release.files import write_checksums
from mm_pipeline.settings import Settings
from mm_pipeline_tests.support.pipeline import settings_for

YEAR = 2019
AN, LUC = "An Peeters", "Luc Dubois"


@pytest.fixture
def settings(tmp_path) -> Settings:
    """A year whose release awaits its signatures."""
    found = settings_for(tmp_path / "data", sign_off=True)
    put(found, "rates of 2019")
    return found


def put(settings: Settings, content: str, *doubts: str) -> str:
    """Let this content await, with what checks doubt in it; returns the hash of its manifest."""
    with waiting_folder(settings, YEAR, doubts) as folder:
        (folder / "rates.csv").write_text(content)
        write_checksums(folder)
    return sha256(settings.awaiting_dir / str(YEAR) / "SHA256SUMS")


def sign(settings: Settings, year: int, name: str) -> Awaited:
    """What awaits just now."""
    waiting = awaited(settings, year)
    return sign_off.sign(settings, year, name, waiting.manifest[:12] if waiting else "")


def write(settings: Settings, content: object) -> None:
    settings.sign_off_dir.mkdir(exist_ok=True)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (settings.sign_off_dir / f"{YEAR}.json").write_bytes(text)


def manifest(settings: Settings) -> str:
    return sha256(settings.awaiting_dir / str(YEAR) / "SHA256SUMS")


class TestWhatIsAwaited:
    def test_both_signatures_at_first(self, settings):
        waiting = awaited(settings, YEAR)
        assert (waiting.manifest, waiting.names, waiting.is_complete) == (manifest(settings), (), False)
        for part in (
            "data/awaiting/2019",
            "data/sign-off/2019.json",
            "Nobody has signed yet.",
            manifest(settings),
            "mm-pipeline sign-off 2019",
        ):
            assert part in waiting.sentence

    def test_nothing_where_nobody_needs_to_sign(self, settings):
        assert awaited(replace(settings, sign_off=False), YEAR) is None
        assert awaited(settings, 2020) is None
        assert years_awaiting(settings) == [YEAR]
        stop_waiting(settings, YEAR)
        assert awaited(settings, YEAR) is None
        assert years_awaiting(settings) == []

    def test_nothing_once_it_is_public(self, settings):
        """As when a machine stopped after the switch and before the waiting folder was taken away."""
        folder = settings.published_dir / str(YEAR)
        folder.mkdir(parents=True)
        (folder / "SHA256SUMS").write_bytes((settings.awaiting_dir / str(YEAR) / "SHA256SUMS").read_bytes())
        assert awaited(settings, YEAR) is None

    @pytest.mark.parametrize("names", [[AN, LUC], [AN, LUC, "Ilse Maes"], [" An  Peeters ", LUC]])
    def test_nothing_but_a_run_when_two_have_signed(self, settings, names):
        write(settings, {"manifest": manifest(settings).upper(), "signed_by": names, "on": "Monday"})
        waiting = awaited(settings, YEAR)
        assert waiting.is_complete
        assert waiting.names[0] == AN
        assert waiting.sentence.startswith(f"2019 is signed by {len(names)} people")

    def test_a_changed_content_voids_the_signatures(self, settings):
        first = manifest(settings)
        write(settings, {"manifest": first, "signed_by": [AN, LUC]})
        put(settings, "other rates")
        waiting = awaited(settings, YEAR)
        assert not waiting.is_complete
        assert waiting.names == ()
        assert f"signed for another content ({first[:12]}" in waiting.sentence
        put(settings, "rates of 2019")
        assert awaited(settings, YEAR).is_complete, "the same content again"

    def test_one_more_person(self, settings):
        write(settings, {"manifest": manifest(settings), "signed_by": [AN]})
        assert not awaited(settings, YEAR).is_complete
        assert "Signed so far: An Peeters." in awaited(settings, YEAR).sentence


class TestRelease:
    """What is held needs a person who releases it, beside those who sign."""

    @pytest.fixture
    def held(self, settings) -> Settings:
        found = replace(settings, sign_off=False)
        put(found, "doubtful rates", "Too few rows.", "Too many women.")
        return found

    def test_it_is_held(self, held):
        waiting = awaited(held, YEAR)
        assert (waiting.is_held, waiting.is_complete, waiting.in_short) == (
            True,
            False,
            "held by 2 checks",
        )
        for part in (
            "\n- Too few rows.\n- Too many women.\n",
            "data/awaiting/2019",
            "mm-pipeline release 2019",
            manifest(held),
        ):
            assert part in waiting.sentence
        assert years_awaiting(held) == [YEAR]

    def test_a_person_releases_it(self, held):
        waiting = sign_off.release(held, YEAR, " An  Peeters ", "Asked the sender.")
        assert waiting.is_complete
        assert waiting == awaited(held, YEAR)
        assert json.loads((held.sign_off_dir / "2019.json").read_text()) == {
            "manifest": manifest(held),
            "signed_by": [],
            "released_by": AN,
            "because": "Asked the sender.",
        }
        keep_signature(held, waiting)
        (kept,) = (held.sign_off_dir / "history").iterdir()
        assert json.loads(kept.read_text())["doubts"] == ["Too few rows.", "Too many women."]
        assert released_before(held, YEAR, waiting.manifest)
        stop_waiting(held, YEAR)
        assert list(held.awaiting_dir.iterdir()) == []

    def test_by_a_file_too(self, held):
        write(held, {"manifest": manifest(held), "released_by": AN, "because": "Asked the sender."})
        assert awaited(held, YEAR).is_complete

    def test_another_content_is_held_again(self, held):
        sign_off.release(held, YEAR, AN, "Asked the sender.")
        first = awaited(held, YEAR).manifest
        put(held, "other rates", "Too few rows.")
        waiting = awaited(held, YEAR)
        assert (waiting.is_held, waiting.in_short) == (True, "held by 1 check")
        assert f"It is signed for another content ({first[:12]}…)" in waiting.sentence

    def test_beside_the_signatures(self, held):
        """In any order; neither takes the place of the other."""
        both = replace(held, sign_off=True)
        assert awaited(both, YEAR).in_short == ("held by 2 checks; awaits its signatures (mm-pipeline sign-off)")
        sign(both, YEAR, AN)
        sign_off.release(both, YEAR, LUC, "Asked the sender.")
        assert "Signed so far: An Peeters." in awaited(both, YEAR).sentence
        assert "Too few rows." not in awaited(both, YEAR).sentence
        assert sign(both, YEAR, LUC).sentence == (
            "2019 is signed by 2 people and released by a person though checks doubt it: published_year of 2019 makes it "
            "public."
        )

    @pytest.mark.parametrize(
        ("name", "because", "said"),
        [
            ("", "Asked.", "is not a name: give the first and last name of who releases."),
            (AN, " ", "is not a reason: say in words"),
            (AN, "?", "is not a reason: say in words"),
            (AN, "a" * 1001, "is not a reason: say in words"),
        ],
    )
    def test_it_takes_a_name_and_a_reason(self, held, name, because, said):
        with pytest.raises(OperatorError, match=said):
            sign_off.release(held, YEAR, name, because)
        assert not awaited(held, YEAR).is_complete

    def test_what_is_not_held_cannot_be_released(self, settings, held):
        for of, year in ((held, 2020), (replace(settings, data_dir=settings.data_dir / "other"), YEAR)):
            with pytest.raises(OperatorError, match=f"Nothing of {year} is held."):
                sign_off.release(of, year, AN, "Asked.")
        sign_off.release(held, YEAR, AN, "Asked.")
        with pytest.raises(OperatorError, match="Nothing of 2019 is held"):
            sign_off.release(held, YEAR, LUC, "Asked again.")

    def test_on_the_command_line(self, held, monkeypatch):
        monkeypatch.setenv("MM_DATA_DIR", str(held.data_dir))

        def said(*arguments: str, code: int = 0) -> str:
            result = CliRunner().invoke(main, ["release", *arguments])
            assert result.exit_code == code, result.output
            return result.output

        assert "- Too few rows." in said("2019")
        assert "Nothing of 2018 is held." in said("2018")
        for wrong in (["--name", AN], ["--because", "Asked."]):
            assert "Nothing was released." in said("2019", *wrong, code=2)
        assert "Nothing of 2018 is held." in said("2018", "--name", AN, "--because", "Asked.", code=1)
        said("1990", code=2)
        assert "2019 is released by a person" in said("2019", "--name", AN, "--because", "Asked.")
        assert "published_year of 2019 makes it public" in said("2019")

    def test_nobody_signs_what_is_only_held(self, held):
        with pytest.raises(OperatorError, match="MM_SIGN_OFF is off"):
            sign(held, YEAR, AN)


A = "a" * 64


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b" " * 100_001, "more than 100000 bytes"),
        ([], "not of the form"),
        ({}, '"manifest" is not a SHA-256'),
        ({"manifest": A[:-1], "signed_by": [AN, LUC]}, '"manifest" is not a SHA-256'),
        ({"manifest": A + "a", "signed_by": [AN, LUC]}, '"manifest" is not a SHA-256'),
        ({"manifest": "g" * 64, "signed_by": [AN, LUC]}, '"manifest" is not a SHA-256'),
        ({"manifest": 5, "signed_by": [AN, LUC]}, '"manifest" is not a SHA-256'),
        ({"manifest": A}, '"signed_by" is not a list of names'),
        ({"manifest": A, "released_by": 5, "because": "x"}, '"released_by" is not a name'),
        ({"manifest": A, "released_by": AN}, '"because" is not a reason in words'),
        ({"manifest": A, "released_by": AN, "because": ["x"]}, '"because" is not a reason in words'),
        ({"manifest": A, "signed_by": f"{AN}, {LUC}"}, '"signed_by" is not a list of names'),
        ({"manifest": A, "signed_by": {AN: LUC}}, '"signed_by" is not a list of names'),
        ({"manifest": A, "signed_by": [AN, 7]}, '"signed_by" is not a list of names'),
        ({"manifest": A, "signed_by": [AN, " "]}, "holds what is not a name"),
        ({"manifest": A, "signed_by": [AN, "..."]}, "holds what is not a name"),
        ({"manifest": A, "signed_by": [AN, "Luc\x00Dubois"]}, "holds what is not a name"),
        ({"manifest": A, "signed_by": [AN, "L" * 101]}, "holds what is not a name"),
        ({"manifest": A, "signed_by": [AN, AN]}, "the same person signed twice"),
        ({"manifest": A, "signed_by": [AN, " an  PEETERS "]}, "the same person signed twice"),
        ({"manifest": A, "signed_by": ["Zoé Noël", "Zoe\u0301 Noe\u0308l"]}, "the same person signed twice"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_file_that_cannot_be_used_is_told_and_counts_for_nothing(settings, content, said):
    write(
        settings,
        content if isinstance(content, bytes) else json.loads(json.dumps(content).replace(A, manifest(settings))),
    )
    waiting = awaited(settings, YEAR)
    assert not waiting.is_complete
    assert said in waiting.sentence
    with pytest.raises(OperatorError, match=r"data/sign-off/2019\.json cannot be used"):
        sign(settings, YEAR, "Ilse Maes")


def test_a_folder_in_its_place_is_told(settings):
    (settings.sign_off_dir / f"{YEAR}.json").mkdir(parents=True)
    assert "it cannot be read" in awaited(settings, YEAR).sentence


class TestSigning:
    def test_two_people_one_after_the_other(self, settings):
        assert sign(settings, YEAR, f" {AN} ").names == (AN,)
        with pytest.raises(OperatorError, match="has signed this content of 2019 already"):
            sign(settings, YEAR, "AN PEETERS")
        assert sign(settings, YEAR, LUC).is_complete

    def test_begins_anew_for_another_content(self, settings):
        sign(settings, YEAR, AN)
        sign(settings, YEAR, LUC)
        put(settings, "other rates")
        assert sign(settings, YEAR, LUC).names == (LUC,)

    @pytest.mark.parametrize("name", ["", " ", "42", "x" * 101])
    def test_asks_for_a_name(self, settings, name):
        with pytest.raises(OperatorError, match="is not a name"):
            sign(settings, YEAR, name)

    def test_needs_something_that_awaits(self, settings):
        with pytest.raises(OperatorError, match="Nothing of 2020 awaits a signature"):
            sign(settings, 2020, AN)
        with pytest.raises(OperatorError, match="MM_SIGN_OFF is off"):
            sign(replace(settings, sign_off=False), YEAR, AN)

    def test_on_the_command_line(self, settings, monkeypatch):
        monkeypatch.setenv("MM_DATA_DIR", str(settings.data_dir))
        monkeypatch.setenv("MM_SIGN_OFF", "on")

        def said(*arguments: str, code: int = 0) -> str:
            result = CliRunner().invoke(main, ["sign-off", *arguments])
            assert result.exit_code == code, result.output
            return result.output

        assert "Nobody has signed yet." in said("2019")
        seen = ("--manifest", manifest(settings)[:12])
        assert "Nothing was signed." in said("2019", "--name", AN, code=2)
        for none in ("1990", "2018:2019", "x"):
            said(none, code=2)
        assert "Nothing was signed." in said("2019", "--name", AN, "--manifest", "b" * 12, code=1)
        assert "Nothing was signed." in said("2019", "--name", AN, "--manifest", manifest(settings)[:11], code=1)
        assert "Signed so far: An Peeters." in said("2019", "--name", AN, *seen)
        assert "has signed this content of 2019 already" in said("2019", "--name", AN, *seen, code=1)
        put(settings, "made again since both looked")
        assert "it was made again since you looked" in said("2019", "--name", LUC, *seen, code=1)
        put(settings, "rates of 2019")
        assert "2019 is signed by 2 people" in said("2019", "--name", LUC, *seen)
        assert "Nothing of 2018 awaits a signature." in said("2018")
        monkeypatch.setenv("MM_SIGN_OFF", "off")
        assert "MM_SIGN_OFF is off" in said("2019")


def test_who_signed_what_became_public_is_kept(settings):
    """Also when the same content is signed again by others, after another one was public."""
    for names in ((AN, LUC), (AN, "Ilse Maes")):
        write(settings, {"manifest": manifest(settings), "signed_by": names})
        for _twice in range(2):
            keep_signature(settings, awaited(settings, YEAR))
    history = settings.sign_off_dir / "history"
    stem = f"{YEAR}-{manifest(settings)[:12]}"
    kept = {file.name: read_signature(file).signed_by for file in history.iterdir()}
    assert kept == {f"{stem}.json": (AN, LUC), f"{stem}-2.json": (AN, "Ilse Maes")}
    (settings.sign_off_dir / f"{YEAR}.json").unlink()
    assert signed_before(settings, YEAR, manifest(settings)).signed_by
    assert not signed_before(settings, YEAR, "b" * 64).signed_by


def test_nobody_else_may_read_what_awaits_or_who_signed(settings):
    sign(settings, YEAR, AN)
    keep_signature(settings, sign(settings, YEAR, LUC))
    folders = [settings.awaiting_dir, settings.awaiting_dir / str(YEAR), settings.sign_off_dir]
    folders.append(settings.sign_off_dir / "history")
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    files = [path for path in settings.sign_off_dir.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
