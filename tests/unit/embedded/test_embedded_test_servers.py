"""How tests find their servers: whether a Docker engine answers, and which images they take."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Self

import pytest

from tests.servers import engine, images
from tests.servers.engine import engine_answers
from tests.servers.operations import with_database


@contextlib.contextmanager
def listener(address: str | tuple[str, int], answer: bytes) -> Iterator[socket.socket]:
    """Listen for one connection, and give it an answer."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.create_server(address, family=family) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server
        thread.join()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
BAD = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(("answer", "answers"), [(OK, True), (BAD, False), (b"hello\r\n", False), (b"", False)])
def test_an_engine_answers_on_its_socket(tmp_path: Path, answer: bytes, answers: bool) -> None:
    with listener(str(tmp_path / "docker.sock"), answer):
        assert engine_answers(f"unix://{tmp_path}/docker.sock") is answers


def test_an_engine_answers_on_a_port_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    with listener(("127.0.0.1", 0), OK) as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert engine_answers()


def test_behind_tls_only_the_connection_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with listener(("127.0.0.1", 0), b"") as server:
        assert engine_answers(f"tcp://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("there", [True, False])
def test_a_socket_that_nobody_serves_is_no_engine(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "docker.sock"
    if there:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    assert not engine_answers(f"unix://{path}")


def test_an_engine_that_hangs_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ANSWER_WAIT_S", 0.05)
    with socket.create_server(str(tmp_path / "docker.sock"), family=socket.AF_UNIX):
        assert not engine_answers(f"unix://{tmp_path}/docker.sock")


@pytest.mark.parametrize("image", [images.NATS, images.POSTGRES, images.VALKEY])
def test_an_image_is_named_by_the_environment(image: images.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(image.variable, raising=False)
    assert image.name == image.default
    monkeypatch.setenv(image.variable, "mirror/it:1")
    assert image.name == "mirror/it:1"


def test_another_database_of_a_server_is_named() -> None:
    assert with_database("postgresql://a:b@h:1/x", "y") == "postgresql://a:b@h:1/y"


class Container:
    """What testcontainers' container does, without an engine."""

    running: ClassVar[list[str]] = []

    def __init__(self, image: str) -> None:
        self.image = image
        self.environment: dict[str, str] = {}

    def with_env(self, name: str, value: str) -> Container:
        self.environment[name] = value
        return self

    def with_command(self, command: str) -> Container:
        self.command = command
        return self

    def with_kwargs(self, **_kwargs: object) -> Container:
        return self

    def with_exposed_ports(self, port: int) -> Container:
        self.port = port
        return self

    def __enter__(self) -> Self:
        if self.image == "cannot/start:1":
            raise OSError(self.image)
        self.running.append(self.image)
        return self

    def __exit__(self, *_error: object) -> None:
        self.running.remove(self.image)

    def get_container_host_ip(self) -> str:
        return "engine.example"

    def get_exposed_port(self, port: int) -> int:
        assert port == self.port
        return port + 10_000


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from tests.servers import containers

    for image in (images.NATS, images.POSTGRES, images.VALKEY):
        monkeypatch.delenv(image.variable, raising=False)
    monkeypatch.setattr(containers, "DockerContainer", Container)
    return containers


def test_the_containers_are_found_where_the_engine_maps_their_ports(containers: ModuleType) -> None:
    with containers.running() as found:
        assert Container.running == [images.NATS.default, images.POSTGRES.default, images.VALKEY.default]
        assert found.nats == "nats://engine.example:14222"
        assert re.fullmatch(r"postgresql://rulestream:[0-9a-f]{32}@engine\.example:15432/rulestream", found.postgres)
        assert found.redis == "redis://engine.example:16379/0"
    assert Container.running == []


def test_a_container_that_does_not_start_leaves_none(containers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(images.VALKEY.variable, "cannot/start:1")
    with pytest.raises(OSError, match="cannot/start"), containers.running():
        pass
    assert Container.running == []


def test_testcontainers_is_not_imported_by_the_fixtures() -> None:
    program = "import sys, tests.servers.fixtures; sys.exit('testcontainers' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=False)
    assert ended.returncode == 0
