"""An API server that answers as a test tells it, with a clock that only moves when something waits."""

from collections import deque
from contextlib import suppress

import msgspec

from telemetry.sources.kubernetes.objects import Pod
from telemetry.sources.kubernetes.pods import seen
from telemetry.sources.kubernetes.reflector import Reflector, Resource, Timing


class SaidError(Exception):
    """The server said no."""

    def __init__(self, status, message=""):
        super().__init__(f"{status} {message}")
        self.status = status


class ScriptError(Exception):
    """Nothing is left to answer."""


class Stream:
    """Lines, exceptions and pauses (a number of seconds) in order; then the end."""

    def __init__(self, server, steps):
        self.server, self.steps, self.closed = server, steps, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closed = True

    def __iter__(self):
        for step in self.steps:
            if callable(step):
                step()
            elif isinstance(step, (int, float)):
                self.server.now += step
                self.server.meanwhile()
            elif isinstance(step, Exception):
                raise step
            else:
                yield step
            if self.closed:
                raise ConnectionAbortedError("closed")


class Server:
    """Answers lists and watches from a script, in the order in which they are asked."""

    def __init__(self, *answers):
        self.answers, self.asked, self.now, self.waits = deque(answers), [], 0.0, []
        self.meanwhile = lambda: None

    def read(self, path, kind, query=None):
        answer = self._next("list", path, query)
        return msgspec.json.decode(answer, type=kind)

    def watch(self, path, query, idle):
        return Stream(self, self._next("watch", path, query))

    def _next(self, verb, path, query):
        self.asked.append((verb, dict(query or {})))
        if not self.answers:
            raise ScriptError
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        if not self.answers:
            raise ScriptError


PODS = Resource("pods", "/api/v1/pods", Pod, seen)


class Rig:
    """A reflector of pods over a script; what it told is in `here`."""

    def __init__(self, *answers, resource=PODS):
        self.server, self.here, self.news = Server(*answers), {}, []
        timing = Timing(lambda: self.server.now, lambda: 1.0, self.server.wait)
        self.reflector = Reflector(resource, self.server, self.took, timing)
        self.server.meanwhile = self.reflector.check

    def took(self, news, gone):
        news, gone = tuple(news), tuple(gone)
        self.here |= {one.uid: one for one in news}
        for one in gone:
            self.here.pop(one.uid, None)
        self.news.append((len(news), len(gone)))

    def run(self):
        """Until the script is over."""
        with suppress(ScriptError):
            self.reflector.run(lambda: not self.server.answers)
        return self

    @property
    def names(self):
        return sorted(one.name for one in self.here.values())

    @property
    def standing(self):
        return self.reflector.standing

    def verbs(self):
        return [verb for verb, _ in self.server.asked]
