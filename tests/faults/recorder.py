"""A socket in front of a server's socket, that passes everything on and keeps what clients asked."""

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any


class Recorder:
    """Stands at the path of a unix socket server until closed.

    Attributes:
        requests: every request so far, decoded.
    """

    def __init__(self, path: Path) -> None:
        self.requests: list[dict[str, Any]] = []
        self._path, self._real = path, path.with_name(f"{path.name}.real")
        path.rename(self._real)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Put the server's own socket back."""
        self._real.rename(self._path)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server, contextlib.suppress(OSError):
            server.connect(str(self._real))
            asked, answered = client.makefile("rb"), server.makefile("rb")
            with asked, answered:
                for line in asked:
                    self.requests.append(json.loads(line))
                    server.sendall(line)
                    client.sendall(answered.readline())
