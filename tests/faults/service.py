"""A worker as small as can be: it answers on every inherited socket, with 503 while the file it was told of exists.

Run as `python -S -E service.py FILE`. It can hang for real (SIGSTOP), and be ill in a way that a restart does not cure.
"""

import os
import select
import socket
import sys


def main() -> None:
    listeners = [socket.socket(fileno=3 + n) for n in range(int(os.environ["LISTEN_FDS"]))]
    while True:
        for listener in select.select(listeners, [], [])[0]:
            listener.setblocking(False)
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue
            with connection:
                connection.settimeout(1.0)
                try:
                    connection.recv(4096)
                    status = b"503 Ill" if os.path.exists(sys.argv[1]) else b"200 OK"  # noqa: PTH110  no imports
                    connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                except OSError:
                    continue


main()
