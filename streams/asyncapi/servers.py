"""The servers: the two planes, and how one proves to be who one is."""

from __future__ import annotations

from typing import Any

Data = dict[str, Any]


def servers() -> dict[str, Data]:
    """Return both planes; one NATS account for both is for development only."""
    return {
        "control": _server(
            "control",
            "The control plane: commands, queries, answers and events. An account of its own, whose clients have no "
            "`$JS.API`; the server's permissions say who may publish under which actor. `RULESTREAM_CONTROL_NATS_URL`.",
        ),
        "data": _server(
            "data",
            "The data plane: facts, decisions, effects and dead letters. `RULESTREAM_NATS_URL`.",
        ),
    }


def security_schemes() -> dict[str, Data]:
    """Return the ways to authenticate that NATS has; the server's configuration says which it takes."""
    return {
        "nkey": {
            "type": "asymmetricEncryption",
            "description": "An nkey: the client signs the server's nonce with its Ed25519 seed, which never leaves it.",
        },
        "credentials": {
            "type": "asymmetricEncryption",
            "description": "A credentials file: a JWT of the account, and the nkey seed that it speaks of.",
        },
        "certificate": {"type": "X509", "description": "A TLS client certificate, of a URL `tls://`."},
        "password": {"type": "userPassword", "description": "User and password, in the URL or apart."},
    }


def _server(plane: str, description: str) -> Data:
    return {
        "title": f"NATS, {plane} plane",
        "host": "{host}:{port}",
        "protocol": "nats",
        "description": description,
        "variables": {
            "host": {"description": "Where NATS answers.", "default": "localhost"},
            "port": {"description": "Its port.", "default": "4222"},
        },
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in security_schemes()],
        "tags": [{"name": plane}],
    }
