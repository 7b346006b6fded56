"""The values that settings take, beside those of policies: paths, loopback addresses, schedules, spans of time."""

import ipaddress
import math
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from telemetry.documents import InvalidError, Seconds
from telemetry.documents.problems import shown

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,3})?")


def some_path(path: Path) -> Path:
    """A path that is not empty."""
    if path == Path() or "\x00" in str(path):
        raise InvalidError("is no path", "a path, not empty")
    return path


EVERYWHERE = "everywhere"
"""As a host: every address of this machine, for a pod, where a NetworkPolicy says who may come. It must be said."""


def loopback(text: str) -> str:
    """`off`, or a loopback address and port, or the word `everywhere` and a port."""
    hint = "off, or host:port with a loopback host and a port from 0 (any free one) to 65535, e.g. 127.0.0.1:9464"
    if text == "off":
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise InvalidError(f"{shown(text)} is no address", hint)
    try:
        inside = host in ("localhost", EVERYWHERE) or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise InvalidError(f"{shown(host)} is no loopback address: it is served without authentication", hint)
    return text


def host_and_port(text: str) -> tuple[str, int] | None:
    """Where to listen; None for `off`."""
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    anywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    return {"localhost": "127.0.0.1", EVERYWHERE: anywhere}.get(host, host.strip("[]")), int(port)


def some_namespaces(text: str) -> str:
    """Names with commas between them; empty for every one."""
    wrong = [name for name in text.split(",") if text and not _NAMESPACE.fullmatch(name)]
    if wrong:
        raise InvalidError(f"{shown(wrong[0])} is no name of a namespace", "names with commas between them: shop,blog")
    return text


def schedule(text: str) -> str:
    """`off`, or five fields of cron."""
    from policies.windows import check_schedule  # noqa: PLC0415 - only where one is given

    return text if text == "off" else check_schedule(text)


def library(value: object) -> object:
    """The word `library` means the folder that comes with the build; `./library` is a folder of that name."""
    if value != "library":
        return value
    import policies  # noqa: PLC0415 - the CLI reads settings without the rest

    return str(Path(str(policies.__file__)).parent / "library")


SomePath = Annotated[Path, AfterValidator(some_path)]
PoliciesPath = Annotated[Path, AfterValidator(some_path), BeforeValidator(library)]


def key(default: Any, meaning: str, why: str) -> Any:
    """A key with its meaning, and why its default is what it is."""
    return Field(default, description=meaning, json_schema_extra={"why": why})


@dataclass(frozen=True, slots=True)
class Span(Seconds):
    """A duration; here, unlike in policies, a bare number is seconds, because flags and variables are typed by hand."""

    def __call__(self, value: object) -> float:
        """Seconds of `1.5`, `"1.5"` or `"1s500ms"`."""
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            value = format(value, ".3f")
        if isinstance(value, str) and _SECONDS.fullmatch(value):
            value = f"{round(float(value) * 1000)}ms"
        return Seconds.__call__(self, value)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A number, or a duration as elsewhere."""
        text = Seconds.__get_pydantic_json_schema__(self, schema, handler)
        return {"anyOf": [{"type": "number", "minimum": 0}, text]}
