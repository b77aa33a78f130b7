"""Settings from ``RULESTREAM_*`` environment variables and an optional TOML file; everything wrong is said at once.

The environment goes before the file, which ``RULESTREAM_CONFIG`` names. Addresses may hold passwords: they are never
printed or logged whole.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, SecretStr
from pydantic import ValidationError as PydanticError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from domain.decisions.retention import RetentionError, require_retention
from domain.errors import ValidationError
from domain.identifiers import ACTOR_PATTERN
from domain.roles import RolePolicy
from streams.endpoint import INBOX, Endpoint
from streams.topology import TopologySettings
from worker.setting_files import FileSource, FromFile, ReadableFile, SeedFile, combination_problems

# Looking up decisions by fact goes through every partition.
PARTITIONS_MAX: Final = 200

# What the command line reads from the environment beside the settings.
_NO_SETTINGS: Final = frozenset({"RULESTREAM_CONFIG", "RULESTREAM_ACTOR"})


# What Kubernetes puts into the environment of every pod beside a Service whose name begins with rulestream.
_SERVICE_LINK: Final = re.compile(
    r"RULESTREAM_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)


class SettingsError(ValidationError):
    """Some settings are wrong; the message has a line for each."""


class Role(StrEnum):
    """What a worker can do; all of it by default."""

    FACTS = "facts"
    COMMANDS = "commands"
    QUERIES = "queries"
    RELAY = "relay"


def _listed(value: object) -> object:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        raise ValueError("is what this worker does; who may send what is RULESTREAM_ROLE_POLICY")
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _role_policy(value: object) -> RolePolicy:
    """Read who has which roles, of JSON (environment) or a table (file); raises ValueError with every problem."""
    if isinstance(value, RolePolicy):
        return value
    if isinstance(value, str):
        try:
            value = json.loads(value, object_pairs_hook=_distinct)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError('must be JSON, such as {"alice": ["author"], "*": ["viewer"]}') from None
    try:
        return RolePolicy.of(value)
    except ValidationError as error:
        raise ValueError("; ".join(error.details["problems"])) from None


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("names an actor twice")
    return found


def _url_of(*schemes: str) -> AfterValidator:
    """Make a check that an address, or each of a list for NATS, is a URL of a scheme; it never repeats the address."""

    def check(value: SecretStr) -> SecretStr:
        wanted = " or ".join(f"{scheme}://" for scheme in schemes)
        text = value.get_secret_value()
        for one in text.split(",") if "nats" in schemes else [text]:
            try:
                parts = urlsplit(one)
                is_known = parts.scheme in schemes and ("," in parts.netloc or parts.port != 0)
            except ValueError:  # a port that is no number: most often the rest of a password
                is_known = False
            if not is_known:
                raise ValueError(f"must be a URL that begins with {wanted}, special characters of a password as %XX")
        return value

    return AfterValidator(check)


def _names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


NatsUrl = Annotated[SecretStr, FromFile, _url_of("nats", "tls", "ws", "wss")]
PostgresDsn = Annotated[SecretStr, FromFile, _url_of("postgresql", "postgres")]
RedisUrl = Annotated[SecretStr, FromFile, _url_of("redis", "rediss", "unix")]
InboxPrefix = Annotated[str, Field(pattern=rf"^_INBOX(_{ACTOR_PATTERN})?$")]
Subscriber = Annotated[str, Field(pattern=rf"^{ACTOR_PATTERN}$")]


class Settings(BaseSettings):
    """Everything that an operator can set. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="RULESTREAM_", extra="forbid", frozen=True)

    nats_url: NatsUrl = SecretStr("nats://127.0.0.1:4222")
    control_nats_url: NatsUrl | None = None
    postgres_dsn: PostgresDsn = SecretStr("postgresql://rulestream@127.0.0.1:5432/rulestream")
    redis_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    # What holds the value above, as secrets are given to containers.
    nats_url_file: Path | None = None
    control_nats_url_file: Path | None = None
    postgres_dsn_file: Path | None = None
    redis_url_file: Path | None = None

    nats_nkey_file: SeedFile | None = None
    nats_creds_file: ReadableFile | None = None
    control_nats_nkey_file: SeedFile | None = None
    control_nats_creds_file: ReadableFile | None = None
    nats_inbox_prefix: InboxPrefix | None = None
    control_nats_inbox_prefix: InboxPrefix | None = None
    nats_ca_file: ReadableFile | None = None
    nats_cert_file: ReadableFile | None = None
    nats_key_file: ReadableFile | None = None
    redis_ca_file: ReadableFile | None = None

    roles: Annotated[frozenset[Role], NoDecode, BeforeValidator(_listed)] = frozenset(Role)
    role_policy: Annotated[InstanceOf[RolePolicy], NoDecode, BeforeValidator(_role_policy)] = RolePolicy()
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    telemetry: Literal["on", "off"] = "on"
    traces_per_second: Annotated[float, Field(ge=0, le=10_000)] = 10.0

    connect_timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    postgres_pool_max: Annotated[int, Field(ge=4, le=200)] = 10
    postgres_timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    redis_timeout_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    ruleset_poll_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    stop_timeout_s: Annotated[float, Field(gt=0, le=600)] = 25.0
    decision_retention_s: Annotated[int, Field(gt=0)] = 30 * 24 * 3600
    decision_partition_s: Annotated[int, Field(ge=3600, le=366 * 24 * 3600)] = 24 * 3600

    fact_bytes_max: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 512 * 1024
    store_facts: bool = False
    batch_facts: Annotated[int, Field(ge=1, le=5_000)] = 500
    batch_bytes: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    batches_in_flight: Annotated[int, Field(ge=1, le=16)] = 4

    commands_stream: str = "RULES_COMMANDS"
    events_stream: str = "RULES_EVENTS"
    facts_stream: str = "FACTS"
    decisions_stream: str = "DECISIONS"
    effects_stream: str = "EFFECTS"
    dead_letters_stream: str = "DEAD_LETTERS"
    facts_consumer: str = "rulestream-facts"
    commands_consumer: str = "rulestream-commands"
    decision_subscribers: Annotated[tuple[Subscriber, ...], NoDecode, BeforeValidator(_names)] = ()
    stream_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    stream_storage: Literal["file", "memory"] = "file"
    stream_max_bytes: Annotated[int, Field(ge=0)] = 0
    facts_max_age_s: Annotated[int, Field(ge=1)] = 7 * 24 * 3600
    decisions_max_age_s: Annotated[int, Field(ge=0)] = 7 * 24 * 3600
    duplicate_window_s: Annotated[int, Field(ge=1)] = 120
    ack_wait_s: Annotated[int, Field(ge=1)] = 60
    max_ack_pending: Annotated[int, Field(ge=1)] = 50_000

    @property
    def control_url(self) -> str:
        """The control account's address; by default the data account's."""
        return (self.control_nats_url or self.nats_url).get_secret_value()

    @property
    def data_endpoint(self) -> Endpoint:
        """The data plane, and as whom to go there."""
        return self._endpoint(
            self.nats_url.get_secret_value(), self.nats_nkey_file, self.nats_creds_file, self.nats_inbox_prefix
        )

    @property
    def control_endpoint(self) -> Endpoint:
        """The control plane, and as whom to go there: as on the data plane, where nothing sets it apart."""
        nkey, creds, inbox = self.control_nats_nkey_file, self.control_nats_creds_file, self.control_nats_inbox_prefix
        if self.control_nats_url is None and nkey is None and creds is None:
            nkey, creds, inbox = self.nats_nkey_file, self.nats_creds_file, inbox or self.nats_inbox_prefix
        return self._endpoint(self.control_url, nkey, creds, inbox)

    def _endpoint(self, url: str, nkey: Path | None, creds: Path | None, inbox: str | None) -> Endpoint:
        return Endpoint(url, nkey, creds, self.nats_ca_file, self.nats_cert_file, self.nats_key_file, inbox or INBOX)

    @property
    def topology(self) -> TopologySettings:
        """The settings of streams and consumers."""
        return TopologySettings(
            commands=self.commands_stream,
            events=self.events_stream,
            facts=self.facts_stream,
            decisions=self.decisions_stream,
            effects=self.effects_stream,
            dead_letters=self.dead_letters_stream,
            facts_consumer=self.facts_consumer,
            commands_consumer=self.commands_consumer,
            replicas=self.stream_replicas,
            storage=self.stream_storage,
            facts_max_age_s=self.facts_max_age_s,
            decisions_max_age_s=self.decisions_max_age_s,
            stream_max_bytes=self.stream_max_bytes,
            duplicate_window_s=self.duplicate_window_s,
            ack_wait_s=self.ack_wait_s,
            max_ack_pending=self.max_ack_pending,
            subscribers=self.decision_subscribers,
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, then the TOML file if one is named."""
        del dotenv_settings, file_secret_settings
        sources: list[PydanticBaseSettingsSource] = [init_settings, FileSource(settings_cls, env_settings)]
        if path := os.environ.get("RULESTREAM_CONFIG"):
            sources.append(FileSource(settings_cls, TomlConfigSettingsSource(settings_cls, Path(path))))
        return tuple(sources)


def _retention_problems(settings: Settings) -> Iterator[str]:
    """Give what is wrong with how long decisions are kept; the stream's own limits are looked at when it is there."""
    window_s = min(settings.duplicate_window_s, settings.facts_max_age_s)
    try:
        require_retention(settings.decision_retention_s, settings.facts_stream, settings.facts_max_age_s, window_s)
    except RetentionError as error:
        yield error.message
    count = math.ceil(settings.decision_retention_s / settings.decision_partition_s)
    if count > PARTITIONS_MAX:
        least_s = math.ceil(settings.decision_retention_s / PARTITIONS_MAX)
        yield (
            f"RULESTREAM_DECISION_PARTITION_S: makes {count} partitions of RULESTREAM_DECISION_RETENTION_S, and in more"
            f" than {PARTITIONS_MAX} decisions are slow to look up: set it to {least_s} or more"
        )


def _connection_problems(settings: Settings) -> Iterator[str]:
    """Give what is wrong with files of keys and certificates, and with addresses beside them."""
    addresses = {
        "NATS_URL": settings.nats_url,
        "CONTROL_NATS_URL": settings.control_nats_url,
        "REDIS_URL": settings.redis_url,
    }
    names = [name for name in Settings.model_fields if name.endswith("_file")]
    return combination_problems(
        schemes={
            name: {urlsplit(one).scheme for one in url.get_secret_value().split(",")}
            for name, url in addresses.items()
            if url is not None
        },
        files={name.upper(): getattr(settings, name) for name in names},
    )


def load_settings(**overrides: object) -> Settings:
    """Read the settings; raises SettingsError naming every setting that is wrong, and none of their values."""
    problems: list[str] = []
    path = os.environ.get("RULESTREAM_CONFIG")
    if path and not Path(path).is_file():
        raise SettingsError(f"RULESTREAM_CONFIG: no such file: {path}")
    known = {f"RULESTREAM_{name}".upper() for name in Settings.model_fields} | _NO_SETTINGS
    problems.extend(
        f"{name}: no such setting"
        for name in sorted(os.environ)
        if name.startswith("RULESTREAM_")
        and not _SERVICE_LINK.fullmatch(name)
        and not name.startswith("RULESTREAM_TEST_")
        and name not in known
    )
    settings: Settings | None = None
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except PydanticError as error:
        for found in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in found["loc"])
            problems.append(f"RULESTREAM_{name.upper()}: {found['msg'].removeprefix('Value error, ')}")
    except ValueError as error:  # the TOML file does not parse
        problems.append(f"RULESTREAM_CONFIG: {error}")
    if settings is not None:
        problems.extend(_retention_problems(settings))
        problems.extend(_connection_problems(settings))
    if problems or settings is None:
        raise SettingsError("wrong settings:\n  " + "\n  ".join(problems))
    return settings
