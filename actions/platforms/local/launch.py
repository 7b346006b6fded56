"""Becomes one instance: run as `python -I -S launch.py PARENT COUNT FD... -- COMMAND...`; standard library only.

It sets what must be set in the new process itself, where the supervisor could only do it between fork and exec,
which is not safe in a process with threads.
"""

import ctypes
import fcntl
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_FIRST = 3  # where the protocol wants the sockets
_ABOVE = 100  # a place for them while they are put in order


def main(argv: list[str]) -> int:
    """Replace this process by the command; returns only if that fails."""
    parent, count = int(argv[1]), int(argv[2])
    fds, command = [int(fd) for fd in argv[3 : 3 + count]], argv[4 + count :]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return 1  # the supervisor died before it could be noticed
    for place, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, _ABOVE) for fd in fds], _FIRST):
        os.dup2(fd, place)
    os.closerange(_FIRST + count, _ABOVE + 1024)
    if count:
        os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "http:probe"}
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606  an argv from the owner's services file; no shell is the point
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv))
