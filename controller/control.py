"""The control socket of a running loop: views to read, statements to say. Mode 0600, and only its own user is heard."""

import pwd
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty
from typing import Any

import msgspec

from controller.core.records import Verb
from controller.inbox import Ask, Waiting
from controller.loop import Board, Loop
from telemetry.sources.unix_rpc import Peer, Server

SOCKET = "control.sock"
"""Name in the state directory."""

ANSWER_WITHIN = 8.0
"""Seconds until a statement must have come through a turn of the loop."""

View = Callable[[Board, Mapping[str, Any]], Mapping[str, Any]]
"""Pure: what is shown, from the board and the arguments of the request."""


class Control:
    """Answers `{"view": name, "args": {…}}` from the board and `{"say": {…}}` through the inbox."""

    def __init__(self, state_dir: Path, loop: Loop, views: Mapping[str, View]) -> None:
        self._loop, self._views = loop, views
        self._server = Server(state_dir / SOCKET, self._answer, refused=lambda why: loop.refused(f"control_{why}"))

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

    def _answer(self, request: dict[str, Any], peer: Peer) -> Mapping[str, Any]:
        if "say" in request:
            return self._say(request["say"], peer)
        view = self._views.get(str(request.get("view")))
        if view is None:
            return {"refused": f"no view {request.get('view')!r}; there are: {', '.join(self._views)}"}
        board = self._loop.board
        if board is None:
            return {"refused": "the loop has not finished its first turn yet; try again"}
        args = request.get("args") or {}
        if not isinstance(args, dict):
            return {"refused": "args must be an object"}
        return view(board, args)

    def _say(self, said: object, peer: Peer) -> Mapping[str, Any]:
        try:
            ask = msgspec.convert({**_object(said), "who": _user(peer.uid)}, Ask)
        except msgspec.ValidationError as error:
            return {"refused": f"{error}; verbs: {', '.join(Verb)}"}
        waiting = Waiting(ask)
        self._loop.inbox.put(waiting)
        try:
            return waiting.answer.get(timeout=ANSWER_WITHIN)
        except Empty:
            return {"refused": "the loop did not come round in time; `auto status` says whether it was taken"}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
