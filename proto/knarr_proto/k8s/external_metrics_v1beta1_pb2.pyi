from knarr_proto.k8s import resource_pb2 as _resource_pb2
from knarr_proto.k8s import meta_v1_pb2 as _meta_v1_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExternalMetricValue(_message.Message):
    __slots__ = ("metricName", "metricLabels", "timestamp", "window", "value")
    class MetricLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METRICNAME_FIELD_NUMBER: _ClassVar[int]
    METRICLABELS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    metricName: str
    metricLabels: _containers.ScalarMap[str, str]
    timestamp: _meta_v1_pb2.Time
    window: int
    value: _resource_pb2.Quantity
    def __init__(self, metricName: _Optional[str] = ..., metricLabels: _Optional[_Mapping[str, str]] = ..., timestamp: _Optional[_Union[_meta_v1_pb2.Time, _Mapping]] = ..., window: _Optional[int] = ..., value: _Optional[_Union[_resource_pb2.Quantity, _Mapping]] = ...) -> None: ...

class ExternalMetricValueList(_message.Message):
    __slots__ = ("metadata", "items")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    metadata: _meta_v1_pb2.ListMeta
    items: _containers.RepeatedCompositeFieldContainer[ExternalMetricValue]
    def __init__(self, metadata: _Optional[_Union[_meta_v1_pb2.ListMeta, _Mapping]] = ..., items: _Optional[_Iterable[_Union[ExternalMetricValue, _Mapping]]] = ...) -> None: ...
