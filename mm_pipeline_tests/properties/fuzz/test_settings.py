"""Settings of any text: refused in words with the name of the variable, or of a kind and within the bounds that hold."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.errors import SettingsError
from mm_pipeline.settings import DISCLOSURE_THRESHOLDS, from_environment
from mm_pipeline_tests.properties.fuzz.cases import chance, hold_message, mutated, run

CASES = 1200

GOOD = {
    "MM_DATA_DIR": ("data", "~/mm", "/tmp/mm fuzz/é", "."),
    "MM_MEMORY_LIMIT": ("4GB", "800 mb", "1.5GiB", "2T"),
    "MM_LARGEST_DELIVERY": ("20GB", "100 MiB"),
    "MM_THREADS": ("1", "2", "64"),
    "MM_PROCESSES": ("1", "2", "64"),
    "MM_THRESHOLD": ("6", "12"),
    "MM_DISCLOSURE_THRESHOLD": ("5", "20"),
    "MM_QUARANTINE_LIMIT": ("0.01", "1"),
    "MM_TOLERANCES": ("gaps_in_registrations=0.01,houses_come_and_go=0.2",),
    "MM_HOLD_LIMITS": ("patients_are_beneficiaries=0.05,regional_change=2",),
    "MM_ALIASES": ("SS00099=patient_id,HOUSE=house_id",),
    "MM_ENGINE": ("duckdb", "Spark"),
    "MM_SPARK_MASTER": ("local[*]", "spark://one:7077"),
    "MM_RELEASE_URL": ("https://example.org/mm",),
}
ODD = (
    *(
        "",
        " ",
        "\n",
        "\t6\n",
        "٦",
        "６",
        "6.0",
        "-1",
        "+6",
        "1e3",
        "1e999",
        "nan",
        "inf",
        "-inf",
        "Infinity",
        "0x6",
        "1_0",
        "½",
    ),
    *(
        "9" * 4299,
        "9" * 5000,
        "9" * 100_000,
        "４GB",
        "0GB",
        "1KB",
        "1e400GB",
        "9" * 30 + "GB",
        "4 GB GB",
        "0.0000000001KB",
        "5 PB",
    ),
    *(
        "~nobody-of-this-name/x",
        "a\nb",
        "a\x1b[2Jb",
        "\udcff",
        "[x]",
        "a*",
        "q?",
        "\u202e",
        "x" * 5000,
        "/" * 3000,
        "\0",
        "a\u2028b",
    ),
    *(
        "a=b=c",
        "=,=",
        "a=" + "patient_id," * 500,
        "\udcff=patient_id",
        "gaps_in_registrations=nan",
        "sex=inf",
        "local[٣]",
    ),
    *("https://", "http://a b", "javascript:alert(1)", "https://x\n", "https://<b>", "spark://", "k8s://\n"),
)


def environment(random: Random) -> dict[str, str]:
    env = {}
    for name in random.sample(sorted(GOOD), random.choice((1, 1, 2, len(GOOD)))):
        text = random.choice(ODD) if chance(random, 0.3) else random.choice(GOOD[name])
        if chance(random, 0.3):
            text = mutated(random, text.encode("utf-8", "surrogateescape"), most=1).decode("utf-8", "surrogateescape")
        env[name] = text
    return env


def test_settings(tmp_path: Path, report: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = 0

    def case(random: Random) -> str:
        nonlocal opened
        env = environment(random)
        try:
            settings = from_environment(env)
        except SettingsError as error:
            hold_message(error)
            return "refused" if any(name in str(error) for name in env) else "refused without a name"
        assert settings.data_dir.is_absolute()
        assert str(settings.data_dir).isprintable()
        assert 1 <= settings.threads <= 1024
        assert 1 <= settings.minimum_forfaits <= 12
        assert DISCLOSURE_THRESHOLDS[0] <= settings.disclosure_threshold <= DISCLOSURE_THRESHOLDS[1]
        assert 0 <= settings.quarantine_limit <= 1
        assert all(0 <= share <= 1 and not math.isnan(share) for share in settings.tolerances.values())
        assert all(0 <= limit < math.inf for limit in settings.hold_limits.values())
        assert settings.engine in ("duckdb", "spark")
        assert 10**6 <= settings.largest_delivery_bytes < 10**18
        settings.fingerprint()
        if env.keys() & {"MM_MEMORY_LIMIT", "MM_THREADS"} and opened < 100:
            opened += 1
            with DuckDBEngine.of(from_environment({**env, "MM_DATA_DIR": str(tmp_path)})).session() as backend:
                backend.raw_sql("SELECT 1").fetchall()
        return "taken"

    counts = run("test_settings", CASES, case, report)
    assert counts.total() == 1 or counts.keys() == {"refused", "taken"}
    assert os.listdir(tmp_path) in ([], ["lake"])  # noqa: PTH208 - nothing is made of a name
