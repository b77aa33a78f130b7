"""Settings whose value is in a file, as Docker and Kubernetes give secrets, and files that settings name.

``RULESTREAM_POSTGRES_DSN_FILE`` names a file that holds what ``RULESTREAM_POSTGRES_DSN`` would. Where one source (the
environment, the TOML file) has both, that is an error: nothing is silently passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from worker.nkey_files import NkeyError, named, public_key

IN_FILES: Final = ("nats_url", "control_nats_url", "postgres_dsn", "redis_url")
BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Unusable:
    """In the place of a value: why there is none."""

    reason: str


class FileSource(PydanticBaseSettingsSource):
    """Another source, with the values that it names files for."""

    def __init__(self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._source = source

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Leave single fields to the other source."""
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        """Return what the other source has, and what the files hold that it names."""
        found = self._source()
        for name in IN_FILES:
            path = found.get(f"{name}_file")
            if path is None or path == "":
                continue
            if name in found:
                found[name] = Unusable(f"is set, and RULESTREAM_{name.upper()}_FILE as well: which one is meant?")
            else:
                found[name] = _content(Path(str(path)))
        return found


def _content(path: Path) -> str | Unusable:
    try:
        text = path.read_bytes()[: BYTES_MAX + 1].decode().strip()
    except OSError as error:
        return Unusable(f"its file {named(path)} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return Unusable(f"its file {named(path)} is not UTF-8 text")
    if not text or len(text) > BYTES_MAX:
        return Unusable(f"its file {named(path)} is {'too large' if text else 'empty'}")
    return text


def _usable(value: object) -> object:
    if isinstance(value, Unusable):
        raise ValueError(value.reason)  # noqa: TRY004  # pydantic's way of saying what is wrong
    return value


def _readable(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise ValueError(f"{named(path)} is empty")
    except OSError as error:
        raise ValueError(f"{named(path)} cannot be read: {error.strerror}") from None
    return path


def _seed(path: Path) -> Path:
    try:
        public_key(path)
    except NkeyError as error:
        raise ValueError(error.message) from None
    return path


FromFile: Final = BeforeValidator(_usable)
ReadableFile = Annotated[Path, AfterValidator(_readable)]
SeedFile = Annotated[Path, AfterValidator(_seed)]


def combination_problems(
    *,
    schemes: dict[str, set[str]],
    files: dict[str, Path | None],
) -> Iterator[str]:
    """Give what is wrong with settings of TLS and of identity together; ``schemes`` are by the addresses' settings."""
    for plane in ("", "CONTROL_"):
        if files[f"{plane}NATS_NKEY_FILE"] and files[f"{plane}NATS_CREDS_FILE"]:
            yield f"RULESTREAM_{plane}NATS_NKEY_FILE: is set, and RULESTREAM_{plane}NATS_CREDS_FILE as well: which one?"
    if (files["NATS_CERT_FILE"] is None) != (files["NATS_KEY_FILE"] is None):
        yield "RULESTREAM_NATS_CERT_FILE: goes together with RULESTREAM_NATS_KEY_FILE"
    has_tls = any(files[f"NATS_{name}_FILE"] for name in ("CA", "CERT", "KEY"))
    for name in ("NATS_URL", "CONTROL_NATS_URL"):
        if has_tls and schemes.get(name) and not schemes[name] <= {"tls", "wss"}:
            yield f"RULESTREAM_{name}: must begin with tls:// where there are certificates: else nothing asks for TLS"
    if files["REDIS_CA_FILE"] and schemes["REDIS_URL"] != {"rediss"}:
        yield "RULESTREAM_REDIS_URL: must begin with rediss:// where there is RULESTREAM_REDIS_CA_FILE"
