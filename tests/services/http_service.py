"""A real HTTP service for tests: standard library only, run with `python -S -E`.

It serves the sockets of the LISTEN_FDS protocol (or PORT) and can be made ill for real:

    GET /            200 with its pid
    GET /health      200
    GET /env         200 with its environment, one variable a line
    GET /loop        never answers: a thread loops for ever inside the lock that every request needs
    GET /leak?mb=N   keeps N MiB more
    GET /exit?code=N ends at once with that status
    GET /slow?s=N    answers after N seconds

Environment: START_DELAY seconds before it serves; IGNORE_TERM=1 does not end on TERM; BROKEN=1 answers 503 on /health.
"""

import os
import signal
import socket
import sys
import threading
import time

LOCK = threading.Lock()
LEAK = []


def listeners():
    if "LISTEN_FDS" in os.environ:
        assert os.environ["LISTEN_PID"] == str(os.getpid())
        assert os.environ["LISTEN_FDNAMES"] == "http:probe"
        return [socket.socket(fileno=3 + n) for n in range(int(os.environ["LISTEN_FDS"]))]
    if "PORT" in os.environ:
        listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
        return [listener]
    return []


def answer(path):
    path, _, query = path.partition("?")
    argument = query.partition("=")[2]
    with LOCK:
        if path == "/loop":
            while True:
                pass
        if path == "/leak":
            LEAK.append(b"x" * (int(argument) << 20))
        if path == "/exit":
            os._exit(int(argument))
    if path == "/slow":
        time.sleep(float(argument))
    if path == "/health" and os.environ.get("BROKEN") == "1":
        return 503, "broken"
    if path == "/env":
        return 200, "\n".join(f"{k}={v}" for k, v in sorted(os.environ.items()))
    return 200, str(os.getpid())


def serve(connection):
    with connection:
        request = connection.recv(65536)
        words = request.split()
        if len(words) < 2:
            return
        status, body = answer(words[1].decode())
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall((head + body).encode())


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def main():
    time.sleep(float(os.environ.get("START_DELAY", "0")))
    if os.environ.get("IGNORE_TERM") == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for listener in listeners():
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
    print("serving", os.getpid(), flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
