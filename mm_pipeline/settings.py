"""The settings: where the data lies, what bounds the engine, which thresholds hold.

Everything comes from environment variables ``MM_*`` and has a default. Nothing else in the package reads the
environment. Settings that change a figure (thresholds, aliases) are part of :meth:`Settings.fingerprint`, so that a
change of them makes every year stale.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from mm_pipeline.errors import SettingsError
from mm_pipeline.files import permissions
from mm_pipeline.files.atomic import replacing
from mm_pipeline.files.locks import ID_KEY, locked
from mm_pipeline.files.safe_names import short

_REPOSITORY = Path(__file__).resolve().parent.parent

DISCLOSURE_THRESHOLDS = 2, 20
"""Bounds of the disclosure threshold: below, the promise is empty; above, protection takes long and little is left."""


def _bytes(text: str) -> int:
    size = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([KMGT])(?:(i)?B)?", text, re.IGNORECASE)
    if size is None:
        raise ValueError
    return int(float(size[1]) * (1024 if size[3] else 1000) ** ("KMGT".index(size[2].upper()) + 1))


def _size(text: str) -> str:
    if not 10**6 <= _bytes(text) < 10**18:  # the engine starts with no less, and counts no further
        raise ValueError
    return text


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _pairs(text: str) -> dict[str, str]:
    """Of ``NAME=value,…``; ValueError where a side is missing, or a name has two values."""
    sides = [part.partition("=") for part in _parts(text)]
    pairs = list(dict.fromkeys((name.strip().upper(), value.strip().lower()) for name, _, value in sides))
    if not all(map(all, pairs)) or len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)


def _ids(ids: tuple[str, ...]) -> tuple[str, ...]:
    if not all(each and each.isprintable() for each in ids):
        raise ValueError
    return tuple(sorted(set(ids)))


Whole = Annotated[int, BeforeValidator(int)]
"""As Python reads it: pydantic alone would take 6.0 too."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]
CheckName = Annotated[str, StringConstraints(to_lower=True)]
Tolerances = Annotated[Mapping[CheckName, Share], BeforeValidator(_pairs)]
HoldLimits = Annotated[Mapping[CheckName, Limit], BeforeValidator(_pairs)]
Size = Annotated[str, AfterValidator(_size)]
Switch = Annotated[bool, BeforeValidator(lambda text: {"on": True, "off": False}.get(text.lower()))]
HostName = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$")]
WebAddress = Annotated[
    str,
    StringConstraints(pattern=r'^https?://[^\s[:cntrl:]<>"@/]+(/[^\s[:cntrl:]<>"]*)?$'),
    AfterValidator(lambda text: text.rstrip("/") + "/"),
]
SparkMaster = Annotated[
    str,
    StringConstraints(
        pattern=r"^(local(\[([0-9]+|\*)(,[0-9]+)?\])?|local-cluster\[[0-9]+,[0-9]+,[0-9]+\]|yarn|(spark|k8s)://\S+)$"
    ),
]


class _InDataDir:
    """A path in the data folder, by its name there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, settings: "Settings", owner: type) -> Path:
        return settings.data_dir / self._name


def _variable(field: str) -> str:
    """The environment variable of a setting."""
    return "MM_THRESHOLD" if field == "minimum_forfaits" else f"MM_{field.upper()}"


@dataclass(frozen=True)
class Settings:
    """All settings of a run; see ``docs/operating.md`` for the table of variables.

    The types say how :func:`from_environment` reads a variable, and within which bounds; ``replace`` asks nobody.
    """

    __pydantic_config__: ClassVar = ConfigDict(alias_generator=_variable, use_attribute_docstrings=True)

    data_dir: Path
    """The folder of deliveries, lake and release."""
    memory_limit: Size = "4GB"
    """Upper bound of the engine's memory; beyond it, it spills to ``data/lake/.spill``."""
    threads: Annotated[Whole, Field(ge=1, le=1024)] = 2
    """Threads of the engine."""
    processes: Annotated[Whole, Field(ge=1, le=64)] = 1
    """Years that are built side by side; they share memory and threads."""
    largest_delivery: Size = "20GB"
    """No delivered file may be larger, neither as it lies there nor unpacked."""
    minimum_forfaits: Annotated[Whole, Field(ge=1, le=12)] = 6
    """Forfaits in the year from which a patient is attributed to a maison médicale."""
    disclosure_threshold: Annotated[Whole, Field(ge=DISCLOSURE_THRESHOLDS[0], le=DISCLOSURE_THRESHOLDS[1])] = 5
    """Smallest number of people that may be shown."""
    total_worth: Annotated[Whole, Field(ge=1, le=1000)] = 150
    """How many categories the total of an area is worth, where the disclosure control must hide one of them."""
    revision_may_hide: Literal["arrondissement", "province", "region", "country"] = "arrondissement"
    """The highest level of which a year that is released again may hide a figure that was shown."""
    quarantine_limit: Share = 0.01
    """Largest share of quarantined rows with which a delivery is still used."""
    tolerances: Tolerances = field(default_factory=dict)
    """Of checks, by their names, where they are not to have the tolerance that they come with."""
    hold_limits: HoldLimits = field(default_factory=dict)
    """Of checks, by their names, beyond which they hold a year back, where it is not to be the limit that they come with."""
    aliases: Annotated[Mapping[str, str], BeforeValidator(_pairs)] = field(default_factory=dict)
    """Further delivered column names, upper case -> canonical name."""
    legal_ids: Annotated[tuple[str, ...], BeforeValidator(_parts), AfterValidator(_ids)] = ()
    """Identifiers that look like a missing value that is written out, or like a number that lost digits, but are none; and
    columns of identifiers that are as they should be, though as a whole they look so."""
    engine: Annotated[Literal["duckdb", "spark"], BeforeValidator(str.lower)] = "duckdb"
    """What computes the statistic: ``duckdb`` or ``spark``. The figures are the same (:mod:`mm_pipeline.storage.spark`)."""
    spark_master: SparkMaster = "local[*]"
    """Where Spark runs."""
    sign_off: Switch = False
    """Whether two people must sign a year before it becomes public (:mod:`mm_pipeline.operations.sign_off`)."""
    release_url: WebAddress = ""
    """Where ``data/published`` will be found on the web, for the metadata that archives harvest; empty: relative."""
    ui_hosts: Annotated[tuple[HostName, ...], BeforeValidator(_parts)] = ()
    """Names under which the UI answers beside 127.0.0.1 and localhost: those of a reverse proxy before it."""
    id_key: str = field(default="", repr=False)
    """Secret of the keys of patients and households; empty: synthetic deliveries have one of their own."""

    raw_dir = _InDataDir("raw")
    lake_dir = _InDataDir("lake")
    reference_dir = _InDataDir("reference")
    published_dir = _InDataDir("published")
    awaiting_dir = _InDataDir("awaiting")
    sign_off_dir = _InDataDir("sign-off")
    id_key_path = _InDataDir("id.key")

    @property
    def memory_limit_bytes(self) -> int:
        return _bytes(self.memory_limit)

    @property
    def largest_delivery_bytes(self) -> int:
        return _bytes(self.largest_delivery)

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
        """The :func:`check_value` of the secret of the keys; empty when there is none yet."""
        with suppress(FileNotFoundError):
            return check_value(self.id_key or self.id_key_path.read_text().strip())
        return ""

    def fingerprint(self) -> str:
        """A short hash of the settings that change a figure."""
        aliases, worth = sorted(self.aliases.items()), str(self.total_worth)
        parts = [self.minimum_forfaits, self.disclosure_threshold, aliases, *self.legal_ids, worth]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@cache
def check_value(secret: str) -> str:
    """Fingerprint of a secret, by which partitions made with one and with another can be told apart.

    Eight hexadecimal digits: too few to be sure of a secret that somebody guesses, and slow to work out (scrypt).
    """
    return hashlib.scrypt(secret.encode(), salt=b"mm_pipeline key check", n=2**14, r=8, p=1, dklen=4).hex()


DECODED = re.compile(r"%[0-9A-Fa-f]{2}")
"""What SQLAlchemy decodes in the path of a SQLite database, where Dagster does not write it encoded."""


def _data_dir(text: str) -> Path:
    """The folder in full; by default ``data/`` of the clone of an installation, without one that of the current folder.

    Refused is what the engine would take for a pattern of names (it would read other folders), and what :data:`DECODED`
    finds (Dagster would keep its history in another folder).
    """
    try:
        is_clone = (_REPOSITORY / "pyproject.toml").is_file()
        path = Path(text).expanduser().resolve() if text else (_REPOSITORY if is_clone else Path.cwd()) / "data"
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


EXPECTED = {
    "MM_MEMORY_LIMIT": "a size such as 2GB or 800MB",
    "MM_THREADS": "a whole number from 1 to 1024",
    "MM_PROCESSES": "a whole number from 1 to 64",
    "MM_LARGEST_DELIVERY": "a size such as 20GB or 800MB",
    "MM_THRESHOLD": "a whole number of months from 1 to 12",
    "MM_DISCLOSURE_THRESHOLD": "a whole number of people from 2 to 20 (below 2 nothing is hidden)",
    "MM_TOTAL_WORTH": "a whole number from 1 to 1000",
    "MM_REVISION_MAY_HIDE": "one of arrondissement, province, region, country",
    "MM_QUARANTINE_LIMIT": "a share between 0 and 1, such as 0.01",
    "MM_TOLERANCES": "pairs such as gaps_in_registrations=0.01,houses_come_and_go=0.2: each check once, with a share from 0 "
    "to 1 (a point, no %)",
    "MM_HOLD_LIMITS": "pairs such as patients_are_beneficiaries=0.05,regional_change=2: each check once, with a number from "
    "0 on",
    "MM_ALIASES": "pairs such as SS00099=patient_id,HOUSE=house_id",
    "MM_LEGAL_IDS": "identifiers such as NA,1e+15, separated by commas",
    "MM_ENGINE": "duckdb or spark",
    "MM_SPARK_MASTER": "a master such as local[*], spark://host:7077 or yarn",
    "MM_SIGN_OFF": "on or off",
    "MM_RELEASE_URL": "an address that begins with https:// or http://",
    "MM_UI_HOSTS": "names without port, such as statistics.example.org,10.1.2.3",
    "MM_ID_KEY": "a text",  # any is one: it is never refused, and so never quoted
}
"""Each variable but ``MM_DATA_DIR``, and what is expected of it, for an operator."""

_READER = TypeAdapter(Settings)


def described(settings: Settings) -> list[tuple[str, object, str]]:
    """Each setting: its variable, its value, and what it means."""
    return [(name := _variable(field), value, _meanings()[name]) for field, value in vars(settings).items()]


@cache
def _meanings() -> dict[str, str]:
    """What each variable means: the docstrings of :class:`Settings`, in plain text."""
    said = {name: of["description"] for name, of in _READER.json_schema()["properties"].items()}
    return {name: re.sub(r" \(:mod:`[^`]*`\)|``", "", text).replace("\n", " ") for name, text in said.items()}


def from_environment(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; a value that makes no sense raises :class:`SettingsError` naming the variable."""
    env = os.environ if env is None else env
    cores = os.cpu_count() or 2
    default = Settings(_data_dir(env.get("MM_DATA_DIR", "").strip()), threads=cores, processes=min(cores, 64))
    texts = {name: text for name in EXPECTED if (text := env.get(name, "").strip())}
    try:
        return _READER.validate_python(
            {"MM_DATA_DIR": default.data_dir, "MM_THREADS": default.threads, "MM_PROCESSES": default.processes} | texts
        )
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
    values = {_variable(field): str(value or "none") for field, value in vars(default).items()}
    told = (values | {"MM_TOLERANCES": "the defaults", "MM_HOLD_LIMITS": "the defaults", "MM_SIGN_OFF": "off"})[name]
    raise SettingsError(
        f"{name} is {short(texts[name])}; expected {EXPECTED[name]}. Correct it, or unset it for {told}."
    )
