"""The thinned schema against the official one, so that no number can be wrong."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from telemetry.sources.otlp.metrics import CUMULATIVE, DATA, NO_VALUE
from telemetry.sources.otlp.schema import MESSAGES, message
from telemetry.sources.otlp.traces import ERROR, SERVING

OFFICIAL = {
    name: getattr(module, name)
    for module in (trace_pb2, metrics_pb2, resource_pb2, common_pb2)
    for name in MESSAGES
    if hasattr(module, name)
}
SAME = {FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_STRING: FieldDescriptor.TYPE_BYTES}


@pytest.mark.parametrize(("name", "field"), [(name, each[0]) for name, fields in MESSAGES.items() for each in fields])
def test_every_field_has_the_number_and_type_of_the_official_one(name, field):
    ours = message(name).DESCRIPTOR.fields_by_name[field]
    official = OFFICIAL[name].DESCRIPTOR.fields_by_name[field]
    assert ours.number == official.number
    assert ours.is_repeated == official.is_repeated
    if ours.type == FieldDescriptor.TYPE_BYTES and official.type == FieldDescriptor.TYPE_MESSAGE:
        return  # a message may stand as its bytes
    assert ours.type == SAME.get(official.type, official.type)


@pytest.mark.parametrize(
    ("whole", "path"),
    [
        (trace_service_pb2.ExportTraceServiceRequest, ("resource_spans", "scope_spans", "spans")),
        (metrics_service_pb2.ExportMetricsServiceRequest, ("resource_metrics", "scope_metrics", "metrics")),
        (logs_service_pb2.ExportLogsServiceRequest, ("resource_logs", "scope_logs", "log_records")),
    ],
)
def test_all_signals_are_numbered_alike(whole, path):
    descriptor, numbers = whole.DESCRIPTOR, []
    for name in path:
        field = descriptor.fields_by_name[name]
        numbers.append(field.number)
        descriptor = field.message_type
        if "resource" in descriptor.fields_by_name:
            assert descriptor.fields_by_name["resource"].number == 1
    assert numbers == [1, 2, 2]


def test_constants_are_the_official_ones():
    assert {trace_pb2.Span.SPAN_KIND_SERVER, trace_pb2.Span.SPAN_KIND_CONSUMER} == SERVING
    assert trace_pb2.Status.STATUS_CODE_ERROR == ERROR
    assert metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE == CUMULATIVE
    assert metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK == NO_VALUE
    fields = metrics_pb2.Metric.DESCRIPTOR.fields
    assert {field.number for field in fields if field.containing_oneof} == DATA
    for field in fields:
        if field.containing_oneof:
            assert field.message_type.fields_by_name["data_points"].number == 1
    assert logs_pb2.ScopeLogs.DESCRIPTOR.fields_by_name["log_records"].number == 2
    assert metrics_pb2.Metric.DESCRIPTOR.fields_by_name["name"].number == 1


def test_no_message_holds_itself():
    def within(descriptor, above):
        for field in descriptor.fields:
            if field.message_type:
                assert field.message_type.full_name not in above
                within(field.message_type, {*above, field.message_type.full_name})

    for name in MESSAGES:
        within(message(name).DESCRIPTOR, {message(name).DESCRIPTOR.full_name})
