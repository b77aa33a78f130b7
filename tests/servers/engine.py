"""Whether a Docker engine answers, asked on its socket: no client library is imported to find out."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from urllib.parse import urlsplit

DEFAULT_ENGINE = "unix:///var/run/docker.sock"
ANSWER_WAIT_S = 2.0


def engine_answers(address: str | None = None) -> bool:
    """Ask the engine at ``address`` (default: DOCKER_HOST, else the usual socket) for a sign of life.

    Behind TLS or ssh only the connection can be tried; what is wrong there shows when the first container starts.
    """
    url = urlsplit(address or os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    try:
        if url.scheme == "unix":
            return _pings(_unix(url.path))
        if url.scheme == "http" or (url.scheme == "tcp" and not os.environ.get("DOCKER_TLS_VERIFY")):
            return _pings(socket.create_connection((url.hostname or "", url.port or 2375), ANSWER_WAIT_S))
        with socket.create_connection((url.hostname or "", url.port or 2376), ANSWER_WAIT_S):
            return True
    except (OSError, http.client.HTTPException):
        return False


def _unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(ANSWER_WAIT_S)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _pings(connection: socket.socket) -> bool:
    client = http.client.HTTPConnection("docker", timeout=ANSWER_WAIT_S)
    client.sock = connection
    with contextlib.closing(client):
        client.request("GET", "/_ping")
        response = client.getresponse()
        response.read()
        return response.status == http.HTTPStatus.OK
