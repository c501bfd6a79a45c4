from knarr_proto.k8s import core_v1_pb2 as _core_v1_pb2
from knarr_proto.k8s import resource_pb2 as _resource_pb2
from knarr_proto.k8s import meta_v1_pb2 as _meta_v1_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricListOptions(_message.Message):
    __slots__ = ("labelSelector", "metricLabelSelector")
    LABELSELECTOR_FIELD_NUMBER: _ClassVar[int]
    METRICLABELSELECTOR_FIELD_NUMBER: _ClassVar[int]
    labelSelector: str
    metricLabelSelector: str
    def __init__(self, labelSelector: _Optional[str] = ..., metricLabelSelector: _Optional[str] = ...) -> None: ...

class MetricValue(_message.Message):
    __slots__ = ("describedObject", "metricName", "timestamp", "window", "value", "selector")
    DESCRIBEDOBJECT_FIELD_NUMBER: _ClassVar[int]
    METRICNAME_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    describedObject: _core_v1_pb2.ObjectReference
    metricName: str
    timestamp: _meta_v1_pb2.Time
    window: int
    value: _resource_pb2.Quantity
    selector: _meta_v1_pb2.LabelSelector
    def __init__(self, describedObject: _Optional[_Union[_core_v1_pb2.ObjectReference, _Mapping]] = ..., metricName: _Optional[str] = ..., timestamp: _Optional[_Union[_meta_v1_pb2.Time, _Mapping]] = ..., window: _Optional[int] = ..., value: _Optional[_Union[_resource_pb2.Quantity, _Mapping]] = ..., selector: _Optional[_Union[_meta_v1_pb2.LabelSelector, _Mapping]] = ...) -> None: ...

class MetricValueList(_message.Message):
    __slots__ = ("metadata", "items")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    metadata: _meta_v1_pb2.ListMeta
    items: _containers.RepeatedCompositeFieldContainer[MetricValue]
    def __init__(self, metadata: _Optional[_Union[_meta_v1_pb2.ListMeta, _Mapping]] = ..., items: _Optional[_Iterable[_Union[MetricValue, _Mapping]]] = ...) -> None: ...
