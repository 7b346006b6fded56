"""One connection: bytes in, requests out; answers in, bytes out. No sockets here, and no clock."""

from collections.abc import Callable, Iterator
from enum import Enum, auto

import h11

from telemetry.sources.otlp.heads import Head, head_of, too_large, wants_json
from telemetry.sources.otlp.limits import BODY, Reason, Refusal
from telemetry.sources.otlp.requests import Reply, Request, refused

_HEAD_BYTES = 16 << 10


class State(Enum):
    """Where a connection stands."""

    IDLE = auto()  # between two requests
    READING = auto()
    WAITING = auto()  # for the answer to a request that was received
    LEAVING = auto()  # what still comes is thrown away, so that the sender can read our last answer


class Connection:
    """Speaks HTTP/1.1 with one sender.

    Attributes:
        state: where it stands.
        held: bytes of a body that are kept.
        out: bytes to be sent.
        answered: how each request ended, since it was last asked: None where it was taken.
    """

    def __init__(self, room: Callable[[int], bool]) -> None:
        """`room` says whether so many more bytes may be kept, and if so keeps a place for them."""
        self.state = State.IDLE
        self.held = 0
        self.out = bytearray()
        self.answered: list[Reason | None] = []
        self._room = room
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._head: Head | None = None
        self._body: list[bytes] = []
        self._json = False

    def receive(self, data: bytes) -> Iterator[Request]:
        """Requests that are whole with these bytes; none is read further before the last was answered."""
        if self.state is State.LEAVING:
            return
        self._http.receive_data(data)
        yield from self._events()

    def reply(self, reply: Reply, reason: Reason | None) -> Iterator[Request]:
        """Answer the request that waits, and go on with what came meanwhile."""
        self._send(reply, reason, last=False)
        if self.state is not State.LEAVING:
            yield from self._events()

    def refuse(self, refusal: Refusal) -> None:
        """Answer before the request is whole, and leave."""
        self._send(refused(refusal, self._json), refusal.reason, last=True)

    @property
    def begun(self) -> bool:
        """Whether a request is being received, or is not answered yet."""
        return self.state in (State.READING, State.WAITING)

    def _events(self) -> Iterator[Request]:
        try:
            while self.state in (State.IDLE, State.READING):
                event = self._http.next_event()
                match event:
                    case h11.Request():
                        self._begin(event)
                    case h11.Data():
                        self._keep(bytes(event.data))
                    case h11.EndOfMessage():
                        yield self._whole()
                    case h11.ConnectionClosed():
                        self.state = State.LEAVING
                    case _:
                        if event is h11.NEED_DATA and self._http.trailing_data[0]:
                            self.state = State.READING
                        break
        except Refusal as refusal:
            self.refuse(refusal)
        except h11.RemoteProtocolError as error:
            self.refuse(Refusal(Reason.MALFORMED, f"this is no HTTP: {error}"))

    def _begin(self, request: h11.Request) -> None:
        self.state = State.READING
        headers = [(bytes(name), bytes(value)) for name, value in request.headers]
        self._json = wants_json(headers)
        method, path = bytes(request.method).decode("latin-1"), bytes(request.target).decode("latin-1")
        self._head = head_of(method, path, headers)
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            self.out += self._http.send(go_on) or b""

    def _keep(self, data: bytes) -> None:
        if self.held + len(data) > BODY:
            raise too_large()
        if not self._room(len(data)):
            raise Refusal(Reason.FULL, "there is too much to read: try again later")
        self.held += len(data)
        self._body.append(data)

    def _whole(self) -> Request:
        self.state = State.WAITING
        head, body = self._head, b"".join(self._body)
        self._body = []
        if head is None:
            raise Refusal(Reason.MALFORMED, "there is no request")
        return Request(head.signal, head.json, head.gzip, body)

    def _send(self, reply: Reply, reason: Reason | None, *, last: bool) -> None:
        self.answered.append(reason)
        self._body = []
        headers = [("Content-Type", reply.kind), ("Content-Length", str(len(reply.body)))]
        headers += [("Retry-After", str(reply.retry_after))] if reply.retry_after else []
        headers += [("Connection", "close")] if last else []
        try:
            for event in (
                h11.Response(status_code=reply.status, headers=headers),
                h11.Data(data=reply.body),
                h11.EndOfMessage(),
            ):
                self.out += self._http.send(event) or b""
            if last or self._http.our_state is not h11.DONE:
                self.state = State.LEAVING
            else:
                self._http.start_next_cycle()
                self.state = State.IDLE
        except h11.LocalProtocolError:  # what came before was so wrong that no answer can be given
            self.state = State.LEAVING
