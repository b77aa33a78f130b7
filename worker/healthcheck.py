"""What a container engine runs to know whether the worker beside it lives: ``python -m worker.healthcheck [PROBE]``.

PROBE is ``livez`` (the default: the process turns its loop) or ``readyz`` (rules are loaded, NATS and Postgres answer).
Exit code 0 says yes, 1 no, 2 that it was asked wrongly. It runs every few seconds beside a worker that has better uses
for the processor: it imports what it needs of the standard library and nothing else.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Final

PROBES: Final = ("livez", "readyz")
TIMEOUT_S: Final = 2.0
_ANSWER_BYTES_MAX: Final = 64 * 1024
_EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nosec B104  # asks there, binds nothing


class HealthCheckError(Exception):
    """The worker cannot be asked, or says no; the message is for a person who inspects the container."""


def check(probe: str, host: str, port: int) -> str:
    """Ask the listener at ``host`` and ``port`` and return the first line of its answer.

    Raises HealthCheckError where nobody answers in two seconds, or answers with anything but 200.
    """
    try:
        with socket.create_connection((_EVERYWHERE.get(host, host), port), TIMEOUT_S) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.sendall(f"GET /{probe} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii"))
            answer = b""
            while len(answer) < _ANSWER_BYTES_MAX and (part := connection.recv(_ANSWER_BYTES_MAX)):
                answer += part
    except OSError as error:
        raise HealthCheckError(f"no answer from {host}:{port}: {error}") from None
    head, _, body = answer.decode("utf-8", "replace").partition("\r\n\r\n")
    status = head.partition("\r\n")[0]
    if status.split(" ")[1:2] != ["200"]:
        raise HealthCheckError(f"{status}: {body.strip()}")
    return status


def listener() -> tuple[str, int]:
    """Return where the worker listens, of the environment, else of the settings' file that RULESTREAM_CONFIG names.

    Raises HealthCheckError for a port that is none, or 0: then the worker took one that nobody else knows.
    """
    kept: dict[str, object] = {}
    if path := os.environ.get("RULESTREAM_CONFIG"):
        import tomllib

        try:
            with open(path, "rb") as file:  # noqa: PTH123  # pathlib would be half of the time that this takes
                kept = tomllib.load(file)
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise HealthCheckError(f"cannot read {path}: {error}") from None
    host = os.environ.get("RULESTREAM_HTTP_HOST", str(kept.get("http_host", "127.0.0.1")))
    port = os.environ.get("RULESTREAM_HTTP_PORT", str(kept.get("http_port", 8080)))
    if not port.isdecimal() or not 0 < int(port) <= 65535:
        raise HealthCheckError(f"RULESTREAM_HTTP_PORT={port} is no port that a health check can ask")
    return host, int(port)


def main(arguments: list[str]) -> int:
    """Ask one probe and return the exit code; what is said goes to standard output, where engines keep it."""
    probe = arguments[0] if arguments else PROBES[0]
    if len(arguments) > 1 or probe not in PROBES:
        print(f"usage: python -m worker.healthcheck [{'|'.join(PROBES)}]")  # noqa: T201
        return 2
    try:
        print(check(probe, *listener()))  # noqa: T201
    except HealthCheckError as error:
        print(error)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
