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
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from mm_pipeline.errors import SettingsError
from mm_pipeline.files import permissions
from mm_pipeline.files.atomic import replacing
from mm_pipeline.files.locks import ID_KEY, locked
from mm_pipeline.files.safe_names import short

T = TypeVar("T")

_REPOSITORY = Path(__file__).resolve().parent.parent


def _default_data_dir() -> Path:
    """``data/`` of the clone the package was installed from; in any other installation, of the current folder."""
    clone = _REPOSITORY / "pyproject.toml"
    return (_REPOSITORY if clone.is_file() else Path.cwd()) / "data"


TOLERANCES = {
    "same_people_as_the_year_before": 0.5,
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
    largest_delivery: str = "20GB"
    """No delivered file may be larger, neither as it lies there nor unpacked."""
    minimum_forfaits: int = 6
    """Forfaits in the year from which a patient is attributed to a maison médicale."""
    disclosure_threshold: int = 5
    """Smallest number of people that may be shown."""
    total_worth: int = 150
    """How many categories the total of an area is worth, where the disclosure control must hide one of them."""
    revision_may_hide: str = "arrondissement"
    """The highest level of which a year that is released again may hide a figure that was shown."""
    quarantine_limit: float = 0.01
    """Largest share of quarantined rows with which a delivery is still used."""
    tolerances: Mapping[str, float] = field(default_factory=lambda: dict(TOLERANCES))
    """See :data:`TOLERANCES`; ``MM_TOLERANCES`` changes single ones."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further delivered column names, upper case -> canonical name."""
    legal_ids: tuple[str, ...] = ()
    """Identifiers that look like a missing value that is written out, or like a number that lost digits, but are none; and
    columns of identifiers that are as they should be, though as a whole they look so."""
    engine: str = "duckdb"
    """What computes the statistic: ``duckdb`` or ``spark``. The figures are the same (:mod:`mm_pipeline.storage.spark`)."""
    spark_master: str = "local[*]"
    sign_off: bool = False
    """Whether two people must sign a year before it becomes public (:mod:`mm_pipeline.operations.sign_off`)."""
    release_url: str = ""
    """Where ``data/published`` will be found on the web, for the metadata that archives harvest; empty: relative."""
    ui_hosts: tuple[str, ...] = ()
    """Names under which the UI answers beside 127.0.0.1 and localhost: those of a reverse proxy before it."""
    id_key: str = field(default="", repr=False)
    """Secret of the keys of patients and households; empty: synthetic deliveries have one of their own."""

    @property
    def largest_delivery_bytes(self) -> int:
        return _bytes(self.largest_delivery)

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
    def awaiting_dir(self) -> Path:
        return self.data_dir / "awaiting"

    @property
    def sign_off_dir(self) -> Path:
        return self.data_dir / "sign-off"

    @property
    def id_key_path(self) -> Path:
        return self.data_dir / "id.key"

    def patient_key_secret(self, *, synthetic: bool) -> str:
        """``MM_ID_KEY``; without it, for synthetic deliveries, the secret kept in ``data/id.key`` (made on first use,
        readable by its owner only).

        The secret must stay the same over the years: another one gives every patient another key. Raises
        :class:`SettingsError` for deliveries of real persons when ``MM_ID_KEY`` is not set.
        """
        if self.id_key:
            return self.id_key
        path = self.id_key_path
        if not synthetic:
            kept = f", or set it to the content of {path} to keep the keys of the years built so far"
            raise SettingsError(
                "MM_ID_KEY is not set. It is the secret of the keys that take the place of pseudonyms; only a delivery "
                'whose manifest says "synthetic": true goes without. Make one with "openssl rand -hex 32"'
                f"{kept if path.exists() else ''}. Keep it apart from the data, set it for the UI and the command line "
                "alike, and start the year again."
            )
        if not path.exists():
            with locked(self.lake_dir / ".locks" / ID_KEY):  # of two runs that begin together one makes it
                if not path.exists():
                    with replacing(path, mode=0o600, durable=True) as file:  # mode 0600 from the start
                        file.write_text(secrets.token_hex(32) + "\n")
        permissions.close(path)
        secret = path.read_text().strip()
        if not secret:
            raise SettingsError(
                f"{path} is empty; it must hold the secret of the patient key. Restore it from a backup, or set "
                "MM_ID_KEY. (Deleting it makes a new secret: then rebuild every year.)"
            )
        return secret

    @property
    def of_figures(self) -> dict[str, str]:
        """The settings that change a figure, by the names of their variables; never the secret itself."""
        return {
            "MM_THRESHOLD": str(self.minimum_forfaits),
            "MM_DISCLOSURE_THRESHOLD": str(self.disclosure_threshold),
            "MM_TOTAL_WORTH": str(self.total_worth),
            "MM_ALIASES": ",".join(f"{name}={canonical}" for name, canonical in sorted(self.aliases.items())),
            "MM_LEGAL_IDS": ",".join(self.legal_ids),
        }

    def key_check(self) -> str:
        """By which partitions made with one secret and with another can be told apart; empty when there is none yet.

        Eight hexadecimal digits: too few to be sure of a secret that somebody guesses, and slow to work out (scrypt).
        """
        with suppress(FileNotFoundError):
            return check_value(self.id_key or self.id_key_path.read_text().strip())
        return ""

    def fingerprint(self) -> str:
        """A short hash of the settings that change a figure."""
        parts = [self.minimum_forfaits, self.disclosure_threshold, sorted(self.aliases.items()), *self.legal_ids]
        parts.append(str(self.total_worth))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@cache
def check_value(secret: str) -> str:
    """Of a secret, see :meth:`Settings.key_check`; the same in every installation."""
    return hashlib.scrypt(secret.encode(), salt=b"mm_pipeline key check", n=2**14, r=8, p=1, dklen=4).hex()


ENGINES = "duckdb", "spark"

MAY_HIDE = "arrondissement", "province", "region", "country"

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
            f"{name} is {short(text)}; expected {expected}. Correct it, or unset it for {_told(default)}."
        ) from None


def _told(default: object) -> str:
    if default is False:
        return "off"
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


def _ids(text: str) -> tuple[str, ...]:
    ids = sorted({each.strip() for each in text.split(",")})
    if not all(each and each.isprintable() for each in ids):
        raise ValueError
    return tuple(ids)


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


def _on_or_off(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise ValueError
    return text.lower() == "on"


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(","))
    if not all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name) for name in names):
        raise ValueError
    return names


def _engine(text: str) -> str:
    if (engine := text.lower()) not in ENGINES:
        raise ValueError
    return engine


def _spark_master(text: str) -> str:
    if (
        re.fullmatch(r"local(\[(\d+|\*)(,\d+)?\])?|local-cluster\[\d+,\d+,\d+\]|yarn|(spark|k8s)://\S+", text, re.ASCII)
        is None
    ):
        raise ValueError
    return text


def _size(text: str) -> str:
    if not 10**6 <= _bytes(text) < 10**18:  # the engine starts with no less, and counts no further
        raise ValueError
    return text


def _level(text: str) -> str:
    if text not in MAY_HIDE:
        raise ValueError
    return text


def _bytes(text: str) -> int:
    size = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([KMGT])(?:(i)?B)?", text, re.IGNORECASE)
    if size is None:
        raise ValueError
    return int(float(size[1]) * (1024 if size[3] else 1000) ** ("KMGT".index(size[2].upper()) + 1))


DECODED = re.compile(r"%[0-9A-Fa-f]{2}")
"""What SQLAlchemy decodes in the path of a SQLite database, where Dagster does not write it encoded."""


def _data_dir(text: str) -> Path:
    """The folder in full. What the engine would take for a pattern of names is refused: it would read other folders.

    So is what :data:`DECODED` finds: Dagster would keep its history in another folder.
    """
    try:
        path = Path(text).expanduser().resolve() if text else _default_data_dir()
        is_plain = str(path).isprintable() and not re.search(r"[*?[]", str(path)) and not DECODED.search(str(path))
        is_plain = is_plain and max(len(os.fsencode(part)) for part in path.parts) <= 255
    except (RuntimeError, ValueError, OSError):  # no such home, a loop of links, a NUL
        is_plain = False
    if not is_plain:
        raise SettingsError(
            f"MM_DATA_DIR is {short(text)}; expected a folder whose full path has no *, ? or [, no % before two "
            "hexadecimal digits (such as %20), no control character and nothing that is not UTF-8, with names of at most "
            "255 bytes. Rename it or choose another one."
        )
    return path


def from_environment(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; a value that makes no sense raises :class:`SettingsError` naming the variable."""
    env = os.environ if env is None else env
    return Settings(
        data_dir=_data_dir(env.get("MM_DATA_DIR", "").strip()),
        memory_limit=_parsed(env, "MM_MEMORY_LIMIT", _size, "4GB", "a size such as 2GB or 800MB"),
        largest_delivery=_parsed(env, "MM_LARGEST_DELIVERY", _size, "20GB", "a size such as 20GB or 800MB"),
        threads=_parsed(
            env, "MM_THREADS", _whole_number(1, 1024), os.cpu_count() or 2, "a whole number from 1 to 1024"
        ),
        minimum_forfaits=_parsed(env, "MM_THRESHOLD", _whole_number(1, 12), 6, "a whole number of months from 1 to 12"),
        disclosure_threshold=_parsed(
            env,
            "MM_DISCLOSURE_THRESHOLD",
            _whole_number(*DISCLOSURE_THRESHOLDS),
            5,
            "a whole number of people from 2 to 20 (below 2 nothing is hidden)",
        ),
        total_worth=_parsed(env, "MM_TOTAL_WORTH", _whole_number(1, 1000), 150, "a whole number from 1 to 1000"),
        revision_may_hide=_parsed(
            env, "MM_REVISION_MAY_HIDE", _level, "arrondissement", f"one of {', '.join(MAY_HIDE)}"
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
        legal_ids=_parsed(env, "MM_LEGAL_IDS", _ids, (), "identifiers such as NA,1e+15, separated by commas"),
        engine=_parsed(env, "MM_ENGINE", _engine, "duckdb", "duckdb or spark"),
        spark_master=_parsed(
            env, "MM_SPARK_MASTER", _spark_master, "local[*]", "a master such as local[*], spark://host:7077 or yarn"
        ),
        sign_off=_parsed(env, "MM_SIGN_OFF", _on_or_off, False, "on or off"),
        release_url=_parsed(env, "MM_RELEASE_URL", _web_address, "", "an address that begins with https:// or http://"),
        ui_hosts=_parsed(env, "MM_UI_HOSTS", _names, (), "names without port, such as statistics.example.org,10.1.2.3"),
        id_key=env.get("MM_ID_KEY", "").strip(),
    )
