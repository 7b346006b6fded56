"""A TCP proxy before an API server: it passes bytes on, stalls, cuts or refuses; what is in them it can not see."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Proxy:
    """One, on a free port of this machine.

    Attributes:
        server: its address, in the place of the API server's.
        stalled: connections that exist, and with `new_too` new ones, stay open and pass nothing.
    """

    def __init__(self, server):
        address = urlsplit(server)
        self._to = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.server = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._pairs, self._lock, self._refusing, self._stall_new = [], threading.Lock(), False, False
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self, *, new_too=False):
        """Every connection that is open goes dead without an end."""
        with self._lock:
            self._stall_new = new_too
            for pair in self._pairs:
                pair.stalled.set()

    def cut(self):
        """Every connection that is open is reset."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.close()

    def refuse(self, refusing=True):
        """New connections are closed at once, and the open ones too."""
        self._refusing = refusing
        if refusing:
            self.cut()

    def heal(self):
        """Everything new passes."""
        self._stall_new, self._refusing = False, False

    def close(self):
        self._refusing = True
        self._listener.close()
        self.cut()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refusing:
                    client.close()
                    continue
                with contextlib.suppress(OSError):
                    pair = _Pair(client, socket.create_connection(self._to))
                    if self._stall_new:
                        pair.stalled.set()
                    with self._lock:
                        self._pairs.append(pair)
                    pair.start()


class _Pair:
    def __init__(self, client, server):
        self.sockets, self.stalled, self.closed = (client, server), threading.Event(), threading.Event()

    def start(self):
        for here, there in (self.sockets, self.sockets[::-1]):
            threading.Thread(target=self._pump, args=(here, there), daemon=True).start()

    def _pump(self, here, there):
        with contextlib.suppress(OSError):
            while data := here.recv(1 << 16):
                if self.stalled.is_set():
                    self.closed.wait()
                    return
                there.sendall(data)
        self.close()

    def close(self):
        self.closed.set()
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
