"""Files of nkey seeds: made with nobody else's access, checked before use, never shown."""

from __future__ import annotations

import base64
import binascii
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import nkeys  # type: ignore[import-untyped]

from domain.errors import ValidationError

FILE_BYTES_MAX: Final = 64 * 1024
_SEED_BYTES: Final = 32
_PUBLIC_LENGTH: Final = 56
_CHECKSUM_BYTES: Final = 2
# A seed, or an address, which may hold a password. (pathlib makes one slash of two.)
_SECRET: Final = re.compile(r"S[A-Z][A-Z2-7]{54}|\w:/")


class NkeyError(ValidationError):
    """A file that should hold a user's nkey seed does not, or one that should be made is there already."""


def named(path: Path) -> str:
    """Return a file's name to show, unless it is a secret that was put in the place of one."""
    text = str(path)
    return "what is given" if _SECRET.search(text) else text


def make_key(path: Path) -> str:
    """Write a new user's seed to a file that only its owner may read, and return the public key.

    Raises NkeyError where the file exists (a key is never overwritten) or cannot be written.
    """
    seed = nkeys.encode_seed(os.urandom(_SEED_BYTES), nkeys.PREFIX_BYTE_USER)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(seed + b"\n")
    except OSError as error:
        raise NkeyError(f"{named(path)}: {error.strerror}") from None
    return public_key(path)


def public_key(path: Path) -> str:
    """Return the public key of a file's seed; raises NkeyError, which says nothing of what the file holds."""
    try:
        seed = path.read_bytes()[:FILE_BYTES_MAX].strip()
    except OSError as error:
        raise NkeyError(f"{named(path)}: {error.strerror}") from None
    key = b""
    if seed.startswith(b"SU"):
        with suppress(ValueError, nkeys.NkeysError):
            key = nkeys.from_seed(bytearray(seed)).public_key
    if not key:
        raise NkeyError(f"{named(path)}: is no seed of a user's nkey (SU and 56 letters and digits)")
    return key.decode()


def is_public_key(text: object) -> bool:
    """Say whether text is a user's public nkey, its checksum included. A seed is none."""
    if not isinstance(text, str) or len(text) != _PUBLIC_LENGTH or not text.startswith("U"):
        return False
    try:
        raw = base64.b32decode(text)
    except (binascii.Error, ValueError):
        return False
    body, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    return body[0] == nkeys.PREFIX_BYTE_USER and bytes(nkeys.crc16_checksum(bytearray(body))) == checksum
