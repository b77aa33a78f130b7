"""Where a plane is, and as whom to go there: addresses, identity, certificates and inbox of a NATS connection."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from domain.errors import UnavailableError

INBOX: Final = "_INBOX"
_TLS_SCHEMES: Final = frozenset({"tls", "wss"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One plane as one identity. Addresses may hold passwords, so that they are never shown; files are by name."""

    url: str = field(repr=False)
    nkey_file: Path | None = None
    creds_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    inbox_prefix: str = INBOX

    @classmethod
    def of(cls, where: Endpoint | str) -> Endpoint:
        """Return an endpoint, of an address alone where it is one."""
        return cls(where) if isinstance(where, str) else where

    @property
    def servers(self) -> list[str]:
        """The addresses one by one."""
        return self.url.split(",")

    @property
    def address(self) -> str:
        """Hosts and ports, without user and password."""
        parts = [urlsplit(one if "://" in one else f"nats://{one}") for one in self.servers]
        return ",".join(f"{part.hostname}:{part.port or 4222}" for part in parts)

    @property
    def has_identity(self) -> bool:
        """Whether a key says who connects: permissions are then on, and inboxes private."""
        return self.nkey_file is not None or self.creds_file is not None

    @property
    def demands_tls(self) -> bool:
        """Whether a server without TLS is not to be talked to."""
        return self.ca_file is not None or any(urlsplit(one).scheme in _TLS_SCHEMES for one in self.servers)

    def heard_by(self, name: str | None) -> Endpoint:
        """Return the same with an identity's own inbox, where a key says who connects and no other inbox was set."""
        if name is None or not self.has_identity or self.inbox_prefix != INBOX:
            return self
        return replace(self, inbox_prefix=f"{INBOX}_{name}")

    def options(self) -> dict[str, Any]:
        """Return nats-py's options; raises UnavailableError for certificates that cannot be used."""
        found: dict[str, Any] = {"inbox_prefix": self.inbox_prefix.encode()}
        if self.nkey_file is not None:
            found["nkeys_seed"] = str(self.nkey_file)
        if self.creds_file is not None:
            found["user_credentials"] = self.creds_file
        if self.demands_tls:
            found["tls"] = self._tls_context()
        return found

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(one) for one in (self.ca_file, self.cert_file, self.key_file) if one)
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UnavailableError("nats", f"the certificates cannot be used ({files}): {reason}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
