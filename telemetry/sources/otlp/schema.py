"""The OpenTelemetry protocol, thinned to what is read: all else stays bytes to the parser, and no object is made of it.

There is no message in it that holds itself, so depth is no question. A test holds every number and type against the
official schema.
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "gyrostat.otlp"

Field = tuple[str, int, str]
"""Name, number, and a scalar type, or the name of a message, with `*` behind it if it is repeated."""

MESSAGES: dict[str, tuple[Field, ...]] = {
    "ScopeSpans": (("spans", 2, "Span*"),),
    "Span": (
        ("kind", 6, "int32"),
        ("start_time_unix_nano", 7, "fixed64"),
        ("end_time_unix_nano", 8, "fixed64"),
        ("status", 15, "bytes"),
    ),
    "Status": (("code", 3, "int32"),),
    "Resource": (("attributes", 1, "KeyValue*"),),
    "KeyValue": (("key", 1, "bytes"), ("value", 2, "AnyValue")),
    "AnyValue": (("string_value", 1, "bytes"), ("int_value", 3, "int64")),
    "Metric": (("gauge", 5, "Gauge"), ("sum", 7, "Sum")),
    "Gauge": (("data_points", 1, "NumberDataPoint*"),),
    "Sum": (
        ("data_points", 1, "NumberDataPoint*"),
        ("aggregation_temporality", 2, "int32"),
        ("is_monotonic", 3, "bool"),
    ),
    "NumberDataPoint": (
        ("time_unix_nano", 3, "fixed64"),
        ("as_double", 4, "double"),
        ("as_int", 6, "sfixed64"),
        ("flags", 8, "uint32"),
    ),
}
"""An enum is an int32 and a message may stand as its bytes: on the wire they are the same."""


@cache
def message(name: str) -> Any:
    """The class of a message."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    """Proto 2, because there every field tells whether it was sent."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="gyrostat/otlp.proto", package=PACKAGE, syntax="proto2")
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        for field, number, of in fields:
            repeated, plain = of.endswith("*"), of.removesuffix("*")
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            added = made.field.add(name=field, number=number, label=label)
            if plain in MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".{PACKAGE}.{plain}"
            else:
                added.type = getattr(kinds, f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool
