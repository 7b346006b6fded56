"""Requests as the official schema makes them."""

import gzip
import json
import os

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

NOW = 1_763_784_000.0
NANO = 10**9
SERVER, CLIENT, CONSUMER = 2, 3, 5


def resource(part, name="web", namespace="shop", instance="i1", **more):
    said = {"service.name": name, "service.namespace": namespace, "service.instance.id": instance, **more}
    for key, value in said.items():
        if value is not None:
            attribute = part.resource.attributes.add()
            attribute.key = key
            if isinstance(value, int):
                attribute.value.int_value = value
            else:
                attribute.value.string_value = value


def traces(spans=10, *, kind=SERVER, took=0.1, failed=0, at=NOW, attributes=3, request=None, **said):
    request = request or ExportTraceServiceRequest()
    part = request.resource_spans.add()
    resource(part, **said)
    scope = part.scope_spans.add()
    for number in range(spans):
        span = scope.spans.add()
        span.trace_id, span.span_id, span.name, span.kind = os.urandom(16), os.urandom(8), "GET /cart", kind
        span.end_time_unix_nano = round(at * NANO)
        span.start_time_unix_nano = span.end_time_unix_nano - round(took * NANO)
        span.status.code = 2 if number < failed else 1
        for key in range(attributes):
            attribute = span.attributes.add()
            attribute.key, attribute.value.string_value = f"key{key}", "value " * 8
    return request


def metrics(*points, request=None, at=NOW, **said):
    """Points are (name, kind, value); kinds: gauge, updown, counter, delta, histogram."""
    request = request or ExportMetricsServiceRequest()
    part = request.resource_metrics.add()
    resource(part, **said)
    scope = part.scope_metrics.add()
    for name, kind, *values in points:
        metric = scope.metrics.add()
        metric.name = name
        if kind == "histogram":
            for _ in values:
                metric.histogram.data_points.add().count = 3
            continue
        data = metric.gauge if kind == "gauge" else metric.sum
        if kind != "gauge":
            data.aggregation_temporality = 1 if kind == "delta" else 2
            data.is_monotonic = kind == "counter"
        for value in values:
            point = data.data_points.add()
            point.time_unix_nano = round(at * NANO)
            if isinstance(value, int):
                point.as_int = value
            else:
                point.as_double = value
    return request


def logs(records=3):
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for _ in range(records):
        scope.log_records.add().body.string_value = "a line"
    return request


def as_json(request):
    """As the protocol wants it: hexadecimal ids and numbers for enums, which the library does not write."""
    made = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(made).encode()


def packed(body):
    return gzip.compress(body, mtime=0)
