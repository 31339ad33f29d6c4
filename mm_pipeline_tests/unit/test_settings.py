"""The settings: every variable read from the environment, every value that makes no sense refused with what to do."""

import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Barrier

import pytest

from mm_pipeline import settings as module
from mm_pipeline.errors import SettingsError
from mm_pipeline.operations.dagster_home import dagster_home, open_instance
from mm_pipeline.settings import Settings, from_environment


def test_defaults() -> None:
    settings = from_environment({})
    assert settings.data_dir == Path(module.__file__).parent.parent / "data"
    cores = os.cpu_count() or 2
    assert settings == Settings(data_dir=settings.data_dir, threads=cores, processes=min(cores, 64))
    assert (settings.memory_limit, settings.minimum_forfaits, settings.disclosure_threshold) == ("4GB", 6, 5)
    assert (settings.quarantine_limit, settings.aliases, settings.id_key) == (0.01, {}, "")
    assert (settings.engine, settings.spark_master) == ("duckdb", "local[*]")


def test_empty_is_not_set() -> None:
    names = (
        "DATA_DIR",
        "MEMORY_LIMIT",
        "THREADS",
        "THRESHOLD",
        "DISCLOSURE_THRESHOLD",
        "QUARANTINE_LIMIT",
        "ALIASES",
        "ENGINE",
        "SIGN_OFF",
    )
    assert from_environment(
        {f"MM_{name}": " " for name in (*names, "SPARK_MASTER", "ID_KEY", "UI_HOSTS")}
    ) == from_environment({})


def test_outside_a_clone_the_data_lie_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REPOSITORY", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert from_environment({}).data_dir == tmp_path / "data"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MM_THRESHOLD", "8")
    assert from_environment().minimum_forfaits == 8


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = from_environment({"MM_DATA_DIR": "elsewhere/.."})
    assert settings.data_dir == tmp_path
    assert [settings.raw_dir, settings.lake_dir, settings.reference_dir, settings.published_dir] == [
        tmp_path / name for name in ("raw", "lake", "reference", "published")
    ]
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert from_environment({"MM_DATA_DIR": "~/mm"}).data_dir == tmp_path / "home" / "mm"


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("MM_MEMORY_LIMIT", "2GB", "2GB"),
        ("MM_MEMORY_LIMIT", " 800 mb ", "800 mb"),
        ("MM_MEMORY_LIMIT", "1.5GiB", "1.5GiB"),
        ("MM_MEMORY_LIMIT", "4G", "4G"),
        ("MM_LARGEST_DELIVERY", " 100 GiB ", "100 GiB"),
        ("MM_THREADS", "1", 1),
        ("MM_THREADS", " 16 ", 16),
        ("MM_THRESHOLD", "1", 1),
        ("MM_THRESHOLD", "12", 12),
        ("MM_DISCLOSURE_THRESHOLD", "2", 2),
        ("MM_DISCLOSURE_THRESHOLD", "20", 20),
        ("MM_QUARANTINE_LIMIT", "0", 0.0),
        ("MM_QUARANTINE_LIMIT", "1", 1.0),
        ("MM_QUARANTINE_LIMIT", "0.05", 0.05),
        ("MM_ALIASES", "ss00099=patient_id", {"SS00099": "patient_id"}),
        ("MM_ALIASES", " House = House_ID , x=sex ", {"HOUSE": "house_id", "X": "sex"}),
        ("MM_ALIASES", "A=sex,a=sex", {"A": "sex"}),
        ("MM_ENGINE", " Spark ", "spark"),
        ("MM_ENGINE", "DuckDB", "duckdb"),
        ("MM_SIGN_OFF", "on", True),
        ("MM_SIGN_OFF", " ON ", True),
        ("MM_SIGN_OFF", "Off", False),
        *(("MM_SPARK_MASTER", master, master) for master in ("local", "local[*]", "local[2]", "local[4,3]", "yarn")),
        *(("MM_SPARK_MASTER", master, master) for master in ("spark://one:7077,two:7077", "k8s://https://host:6443")),
        ("MM_TOLERANCES", "Houses_come_and_go = 1", {"houses_come_and_go": 1.0}),
        ("MM_HOLD_LIMITS", "Regional_change = 2.5", {"regional_change": 2.5}),
        ("MM_RELEASE_URL", "https://example.org/mm", "https://example.org/mm/"),
        ("MM_ID_KEY", " secret\n", "secret"),
        ("MM_ID_KEY", "never refused: it would be quoted \udcff", "never refused: it would be quoted \udcff"),
        ("MM_UI_HOSTS", "Statistics.example.org, 10.1.2.3", ("statistics.example.org", "10.1.2.3")),
    ],
)
def test_a_variable_is_read(variable: str, text: str, value: object) -> None:
    field = {"MM_THRESHOLD": "minimum_forfaits"}.get(variable, variable.removeprefix("MM_").lower())
    settings = from_environment({variable: text})
    assert getattr(settings, field) == value
    assert replace(settings, **{field: getattr(from_environment({}), field)}) == from_environment({})


@pytest.mark.parametrize("size", ["4G", "1.5GiB", "800 mb", "2TB", "900000KB"])
def test_the_engine_knows_every_size_that_is_accepted(size: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    assert from_environment({"MM_MEMORY_LIMIT": size}).memory_limit == size
    duckdb.connect(config={"memory_limit": size}).close()


WRONG = {
    "MM_MEMORY_LIMIT": (
        [
            "4",
            "GB",
            "-1GB",
            "0GB",
            "80%",
            "nan",
            "inf",
            "1e5",
            "4B",
            "4TIM",
            "4GBB",
            "4G B",
            "four GB",
            "４GB",
            "0.5KB",
            "9999999TB",
        ],
        "a size such as 2GB or 800MB",
        "4GB",
    ),
    "MM_PROCESSES": (["0", "-1", "1.5", "two", "65"], "a whole number from 1 to 64", str(os.cpu_count() or 2)),
    "MM_THREADS": (["0", "-1", "1.5", "two", "1e3", "1025"], "a whole number from 1 to 1024", str(os.cpu_count() or 2)),
    "MM_THRESHOLD": (["0", "-6", "6.0", "six"], "a whole number of months from 1", "6"),
    "MM_DISCLOSURE_THRESHOLD": (["1", "0", "21", "5.5", "x"], "a whole number of people from 2 to 20", "5"),
    "MM_QUARANTINE_LIMIT": (["-0.1", "1.1", "1%", "nan", "x"], "a share between 0 and 1, such as 0.01", "0.01"),
    "MM_ALIASES": (
        ["patient_id", "=patient_id", "X=", "X=sex,", ",", "X=sex,x=house_id"],
        "pairs such as SS00099=patient_id,HOUSE=house_id",
        "none",
    ),
    "MM_ENGINE": (["sparks", "polars", "duck db"], "duckdb or spark", "duckdb"),
    "MM_SIGN_OFF": (["yes", "1", "true", "onn"], "on or off", "off"),
    "MM_SPARK_MASTER": (
        ["local[]", "local[x]", "spark://", "sc://host", "host:7077", "yarn x"],
        "a master such as local[*], spark://host:7077 or yarn",
        "local[*]",
    ),
    "MM_RELEASE_URL": (
        ["example.org", "https://", "https://a b", "https://a\x1cb"],
        "an address that begins with",
        "none",
    ),
    "MM_UI_HOSTS": (["https://x", "x:3000", "x,", "a b", "-x"], "names without port", "none"),
    "MM_TOLERANCES": (
        [
            "gaps_in_registrations",
            "gaps_in_registrations=",
            "gaps_in_registrations=2",
            "gaps_in_registrations=0,01",
            "gaps_in_registrations=1%",
            "gaps_in_registrations=0.1,",
            "gaps_in_registrations=0.1,gaps_in_registrations=0.2",
            "=0.1",
            "x=y=0.1",
        ],
        "pairs such as gaps_in_registrations=0.01,houses_come_and_go=0.2: each check once, with a share from 0 to 1",
        "the defaults",
    ),
    "MM_HOLD_LIMITS": (
        [
            "regional_change",
            "regional_change=",
            "regional_change=-1",
            "regional_change=2,5",
            "regional_change=inf",
            "=2",
        ],
        "pairs such as patients_are_beneficiaries=0.05,regional_change=2: each check once, with a number from 0 on",
        "the defaults",
    ),
}


@pytest.mark.parametrize(("variable", "text"), [(name, text) for name, (texts, *_) in WRONG.items() for text in texts])
def test_a_value_that_makes_no_sense(variable: str, text: str) -> None:
    _, expected, default = WRONG[variable]
    with pytest.raises(SettingsError) as raised:
        from_environment({variable: text})
    message = str(raised.value)
    assert message.startswith(f"{variable} is {text!r}; expected {expected}")
    assert message.endswith(f"Correct it, or unset it for {default}.")


@pytest.mark.parametrize("text", ["9" * 5000, "x" * 5000, "\x1b[2J", "\udcff"])
@pytest.mark.parametrize("variable", [*WRONG, "MM_DATA_DIR"])
def test_a_long_or_unprintable_value_is_said_in_short(variable: str, text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_environment({variable: text + "*"})
    message = str(raised.value)
    assert message.startswith(variable)
    assert message.isprintable()
    assert len(message) < 900


@pytest.mark.parametrize(
    "text",
    [
        "~nobody-of-this-name/mm",
        "mm\x00",
        "mm\nmm",
        "mm\udcff",
        "loop",
        "mm*",
        "mm[1]",
        "mm?",
        "x" * 5000,
        "My%20data",
        "a%2Fb",
        "%c3%a9",
    ],
)
def test_a_data_folder_that_cannot_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The engine takes mm[1] for a pattern: it would read the deliveries of a folder mm1 beside it. And Dagster would keep
    the history of My%20data in that of My data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SettingsError, match=r"MM_DATA_DIR is .*; expected a folder whose full path has no"):
        from_environment({"MM_DATA_DIR": text})


@pytest.mark.parametrize("name", ["100%", "5% of all", "%", "%2", "%zz", "a+b", "a#b", "é"])
def test_a_data_folder_that_can_be_one(tmp_path: Path, name: str) -> None:
    """Its history is where it belongs."""
    settings = from_environment({"MM_DATA_DIR": str(tmp_path / name)})
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("DAGSTER_HOME", raising=False)
        with open_instance(settings):
            pass
        patched.delenv("DAGSTER_HOME")
    assert (tmp_path / name / "dagster" / "history" / "runs.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_dagster_home_of_its_own_is_held_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "a%20b"))
    with pytest.raises(SettingsError, match=r"DAGSTER_HOME is .*a%20b'; expected a folder whose full path has no %"):
        dagster_home(from_environment({"MM_DATA_DIR": str(tmp_path)}))
    assert not list(tmp_path.iterdir())


def test_identifiers_that_are_real() -> None:
    assert from_environment({"MM_LEGAL_IDS": " NA,1e+15 , NA"}).legal_ids == ("1e+15", "NA")
    for text in (",", "NA,,x", "a\x00"):
        with pytest.raises(SettingsError, match=r"MM_LEGAL_IDS is .*; expected identifiers such as NA,1e"):
            from_environment({"MM_LEGAL_IDS": text})


def test_sizes_in_bytes() -> None:
    sizes = {"20GB": 20 * 10**9, "1.5 MiB": 3 * 2**19, "1000k": 10**6, "2T": 2 * 10**12}
    for text, size in sizes.items():
        assert from_environment({"MM_LARGEST_DELIVERY": text}).largest_delivery_bytes == size


class TestSecret:
    def test_it_is_made_once(self, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path / "data")
        secret = settings.patient_key_secret(synthetic=True)
        path = tmp_path / "data" / "id.key"
        assert (len(secret), path.read_text()) == (64, secret + "\n")
        assert Settings(data_dir=tmp_path / "data").patient_key_secret(synthetic=True) == secret
        assert list(path.parent.glob("*id.key*")) == [path]
        assert Settings(data_dir=tmp_path / "other").patient_key_secret(synthetic=True) != secret

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_only_the_owner_may_read_it(self, tmp_path: Path, umask: int) -> None:
        earlier = os.umask(umask)
        try:
            Settings(data_dir=tmp_path).patient_key_secret(synthetic=True)
        finally:
            os.umask(earlier)
        assert stat.S_IMODE((tmp_path / "id.key").stat().st_mode) == 0o600

    def test_one_that_others_may_read_is_taken_from_them(self, tmp_path: Path) -> None:
        """As after a restore from a backup."""
        (tmp_path / "id.key").write_text("secret")
        (tmp_path / "id.key").chmod(0o644)
        Settings(data_dir=tmp_path).patient_key_secret(synthetic=True)
        assert stat.S_IMODE((tmp_path / "id.key").stat().st_mode) == 0o600

    def test_real_persons_need_the_variable(self, tmp_path: Path) -> None:
        with pytest.raises(
            SettingsError, match=r'MM_ID_KEY is not set.*openssl rand -hex 32".*start the year again'
        ) as raised:
            Settings(data_dir=tmp_path).patient_key_secret(synthetic=False)
        assert "id.key" not in str(raised.value)
        assert list(tmp_path.iterdir()) == []
        assert Settings(data_dir=tmp_path, id_key="x").patient_key_secret(synthetic=False) == "x"

    def test_the_one_used_so_far_can_be_kept(self, tmp_path: Path) -> None:
        made = Settings(data_dir=tmp_path).patient_key_secret(synthetic=True)
        with pytest.raises(SettingsError, match=f"or set it to the content of {tmp_path}/id.key to keep") as raised:
            Settings(data_dir=tmp_path).patient_key_secret(synthetic=False)
        assert made not in str(raised.value)

    def test_its_check_value_tells_two_apart_and_not_what_they_are(self, tmp_path: Path) -> None:
        def check(**changes: str) -> str:
            return Settings(data_dir=tmp_path, **changes).key_check()

        assert check() == "", "nothing is made by looking"
        assert list(tmp_path.iterdir()) == []
        made = Settings(data_dir=tmp_path).patient_key_secret(synthetic=True)
        assert check() == check(id_key=made) != check(id_key="another")
        assert check(id_key="secret") == "e81b2146", "the same in every version and installation"

    def test_runs_that_begin_together_get_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        runs, rounds = 4, 3
        barrier = Barrier(runs)
        made = count()
        monkeypatch.setattr(module.secrets, "token_hex", lambda _: time.sleep(0.02) or f"secret {next(made)}")

        def secret(data_dir: Path) -> str:
            barrier.wait()
            return Settings(data_dir=data_dir).patient_key_secret(synthetic=True)

        with ThreadPoolExecutor(runs) as pool:
            for i in range(rounds):
                assert len(set(pool.map(secret, [tmp_path / str(i)] * runs))) == 1

    def test_an_existing_one_is_used(self, tmp_path: Path) -> None:
        (tmp_path / "id.key").write_text(" kept over the years \n")
        assert Settings(data_dir=tmp_path).patient_key_secret(synthetic=True) == "kept over the years"

    @pytest.mark.parametrize("content", ["", "\n", " \n"])
    def test_an_empty_one_is_refused(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "id.key"
        path.write_text(content)
        with pytest.raises(SettingsError) as raised:
            Settings(data_dir=tmp_path).patient_key_secret(synthetic=True)
        for part in (f"{path} is empty", "must hold the secret", "Restore it from a backup, or set MM_ID_KEY"):
            assert part in str(raised.value)
        assert path.read_text() == content

    def test_the_variable_comes_first(self, tmp_path: Path) -> None:
        settings = from_environment({"MM_DATA_DIR": str(tmp_path), "MM_ID_KEY": "from the environment"})
        assert settings.patient_key_secret(synthetic=True) == "from the environment"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("show", [repr, str, "{}".format], ids=["repr", "str", "format"])
    def test_it_is_not_shown(self, tmp_path: Path, show: Callable[[object], str]) -> None:
        settings = Settings(data_dir=tmp_path, id_key="very secret")
        assert "secret" not in show(settings)
        assert "id_key" not in show(settings)


class TestFingerprint:
    def test_what_changes_a_figure_changes_it(self, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path)
        prints = {
            settings.fingerprint(),
            replace(settings, minimum_forfaits=7).fingerprint(),
            replace(settings, disclosure_threshold=settings.disclosure_threshold + 1).fingerprint(),
            replace(settings, aliases={"X": "sex"}).fingerprint(),
            replace(settings, legal_ids=("NA",)).fingerprint(),
        }
        assert len(prints) == 5

    def test_nothing_else_does(self, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path, aliases={"X": "sex", "Y": "house_id"})
        other = Settings(
            data_dir=tmp_path / "other",
            threads=7,
            memory_limit="1GB",
            quarantine_limit=0.5,
            id_key="secret",
            engine="spark",
            spark_master="yarn",
            aliases={"Y": "house_id", "X": "sex"},
        )
        assert other.fingerprint() == settings.fingerprint()
