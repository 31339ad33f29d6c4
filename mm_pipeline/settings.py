"""The settings: where the data lies, what bounds the engine, which thresholds hold.

Everything comes from environment variables ``MM_*`` and has a default. Nothing else in the package reads the
environment. Settings that change a figure (thresholds, aliases) are part of :meth:`Settings.fingerprint`, so that a
change of them makes every year stale.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mm_pipeline.atomic import replacing
from mm_pipeline.errors import SettingsError
from mm_pipeline.locks import ID_KEY, locked

T = TypeVar("T")

_REPOSITORY = Path(__file__).resolve().parent.parent


def _default_data_dir() -> Path:
    """``data/`` of the clone the package was installed from; in any other installation, of the current folder."""
    clone = _REPOSITORY / "pyproject.toml"
    return (_REPOSITORY if clone.is_file() else Path.cwd()) / "data"


TOLERANCES = {
    "one_forfait_a_month": 0.001,
    "one_house_a_month": 0.001,
    "registration_in_month_of_leaving": 0.1,
    "gaps_in_registrations": 0.005,
    "forfaits_of_beneficiaries": 0.005,
    "dmg_at_own_house": 0.01,
    "one_amount_a_house": 0.001,
    "one_amount_for_beginners": 0.02,
    "one_amount_before_may_2013": 0.02,
    "houses_come_and_go": 0.15,
    "patients_near_their_house": 0.05,
    "contribution_per_patient": 0.001,
    "contribution_per_household": 0.001,
}
"""Checks that count cases which break a rule -> the share of cases up to which they pass."""


@dataclass(frozen=True)
class Settings:
    """All settings of a run; see ``docs/operating.md`` for the table of variables."""

    data_dir: Path
    memory_limit: str = "4GB"
    """Upper bound of the engine's memory; beyond it, it spills to ``data/lake/.spill``."""
    threads: int = 2
    threshold: int = 6
    """Forfaits in the year from which a patient is attributed to a maison médicale."""
    disclosure_threshold: int = 5
    """Smallest number of people that may be shown."""
    quarantine_limit: float = 0.01
    """Largest share of quarantined rows with which a delivery is still used."""
    tolerances: Mapping[str, float] = field(default_factory=lambda: dict(TOLERANCES))
    """See :data:`TOLERANCES`; ``MM_TOLERANCES`` changes single ones."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further delivered column names, upper case -> canonical name."""
    engine: str = "duckdb"
    """What computes the statistic: ``duckdb`` or ``spark``. The figures are the same (:mod:`mm_pipeline.storage.spark`)."""
    spark_master: str = "local[*]"
    release_url: str = ""
    """Where ``data/published`` will be found on the web, for the metadata that archives harvest; empty: relative."""
    id_key: str = field(default="", repr=False)
    """Secret of the keys of patients and households; empty means: the one kept in ``data/id.key``."""

    @property
    def raw_dir(self) -> Path:
        return self.data_dir / "raw"

    @property
    def lake_dir(self) -> Path:
        return self.data_dir / "lake"

    @property
    def reference_dir(self) -> Path:
        return self.data_dir / "reference"

    @property
    def published_dir(self) -> Path:
        return self.data_dir / "published"

    @property
    def id_key_path(self) -> Path:
        return self.data_dir / "id.key"

    def patient_key_secret(self) -> str:
        """``MM_ID_KEY``, or the secret kept in ``data/id.key`` (made on first use, readable by its owner only).

        The secret must stay the same over the years: another one gives every patient another key.
        """
        if self.id_key:
            return self.id_key
        path = self.id_key_path
        if not path.exists():
            with locked(self.lake_dir / ".locks" / ID_KEY):  # of two runs that begin together one makes it
                if not path.exists():
                    with replacing(path, mode=0o600, durable=True) as file:  # mode 0600 from the start
                        file.write_text(secrets.token_hex(32) + "\n")
        secret = path.read_text().strip()
        if not secret:
            raise SettingsError(
                f"{path} is empty; it must hold the secret of the patient key. Restore it from a backup, or set "
                "MM_ID_KEY. (Deleting it makes a new secret: then rebuild every year.)"
            )
        return secret

    def fingerprint(self) -> str:
        """A short hash of the settings that change a figure, never of the secret itself."""
        parts = [self.threshold, self.disclosure_threshold, sorted(self.aliases.items())]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


ENGINES = "duckdb", "spark"

DISCLOSURE_THRESHOLDS = 2, 20
"""Bounds of the disclosure threshold: below, the promise is empty; above, protection takes long and little is left."""


def _parsed(env: Mapping[str, str], name: str, parse: Callable[[str], T], default: T, expected: str) -> T:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError:
        raise SettingsError(
            f"{name} is {text!r}; expected {expected}. Correct it, or unset it for {_told(default)}."
        ) from None


def _told(default: object) -> str:
    return "the defaults" if isinstance(default, dict) and default else str(default or "none")


def _whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if (value := int(text)) < least or (most is not None and value > most):
            raise ValueError
        return value

    return parse


def _share(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError
    return value


def _aliases(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(","))
    result: dict[str, str] = {}
    for name, sign, canonical in pairs:
        name, canonical = name.strip().upper(), canonical.strip().lower()
        if not (sign and name and canonical) or result.get(name, canonical) != canonical:
            raise ValueError
        result[name] = canonical
    return result


def _tolerances(text: str) -> dict[str, float]:
    pairs = (item.partition("=") for item in text.split(","))
    result: dict[str, float] = {}
    for name, _, share in pairs:
        name = name.strip().lower()
        if name not in TOLERANCES or name in result:
            raise ValueError
        result[name] = _share(share)
    return {**TOLERANCES, **result}


def _web_address(text: str) -> str:
    if re.fullmatch(r"https?://[^\s<>\"]+", text) is None:
        raise ValueError
    return text.rstrip("/") + "/"


def _engine(text: str) -> str:
    if (engine := text.lower()) not in ENGINES:
        raise ValueError
    return engine


def _spark_master(text: str) -> str:
    if re.fullmatch(r"local(\[(\d+|\*)(,\d+)?\])?|local-cluster\[\d+,\d+,\d+\]|yarn|(spark|k8s)://\S+", text) is None:
        raise ValueError
    return text


def _memory(text: str) -> str:
    size = re.fullmatch(r"(\d+(?:\.\d+)?) ?[KMGT](?:i?B)?", text, re.IGNORECASE)
    if size is None or float(size[1]) == 0:
        raise ValueError
    return text


def from_environment(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; a value that makes no sense raises :class:`SettingsError` naming the variable."""
    env = os.environ if env is None else env
    data_dir = env.get("MM_DATA_DIR", "").strip()
    return Settings(
        data_dir=Path(data_dir).expanduser().resolve() if data_dir else _default_data_dir(),
        memory_limit=_parsed(env, "MM_MEMORY_LIMIT", _memory, "4GB", "a size such as 2GB or 800MB"),
        threads=_parsed(env, "MM_THREADS", _whole_number(1), os.cpu_count() or 2, "a whole number from 1"),
        threshold=_parsed(env, "MM_THRESHOLD", _whole_number(1, 12), 6, "a whole number of months from 1 to 12"),
        disclosure_threshold=_parsed(
            env,
            "MM_DISCLOSURE_THRESHOLD",
            _whole_number(*DISCLOSURE_THRESHOLDS),
            5,
            "a whole number of people from 2 to 20 (below 2 nothing is hidden)",
        ),
        quarantine_limit=_parsed(env, "MM_QUARANTINE_LIMIT", _share, 0.01, "a share between 0 and 1, such as 0.01"),
        tolerances=_parsed(
            env,
            "MM_TOLERANCES",
            _tolerances,
            TOLERANCES,
            "pairs such as gaps_in_registrations=0.01,houses_come_and_go=0.2: each check once, with a share from 0 to 1 (a "
            f"point, no %). The checks are {', '.join(TOLERANCES)}",
        ),
        aliases=_parsed(env, "MM_ALIASES", _aliases, {}, "pairs such as SS00099=patient_id,HOUSE=house_id"),
        engine=_parsed(env, "MM_ENGINE", _engine, "duckdb", "duckdb or spark"),
        spark_master=_parsed(
            env, "MM_SPARK_MASTER", _spark_master, "local[*]", "a master such as local[*], spark://host:7077 or yarn"
        ),
        release_url=_parsed(env, "MM_RELEASE_URL", _web_address, "", "an address that begins with https:// or http://"),
        id_key=env.get("MM_ID_KEY", "").strip(),
    )
