from knarr_proto.k8s import authentication_v1_pb2 as _authentication_v1_pb2
from knarr_proto.k8s import meta_v1_pb2 as _meta_v1_pb2
from knarr_proto.k8s import runtime_pb2 as _runtime_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AdmissionRequest(_message.Message):
    __slots__ = ("uid", "kind", "resource", "subResource", "name", "namespace", "operation", "userInfo", "object", "oldObject", "dryRun", "options", "requestKind", "requestResource", "requestSubResource")
    UID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    SUBRESOURCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    USERINFO_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    OLDOBJECT_FIELD_NUMBER: _ClassVar[int]
    DRYRUN_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    REQUESTKIND_FIELD_NUMBER: _ClassVar[int]
    REQUESTRESOURCE_FIELD_NUMBER: _ClassVar[int]
    REQUESTSUBRESOURCE_FIELD_NUMBER: _ClassVar[int]
    uid: str
    kind: _meta_v1_pb2.GroupVersionKind
    resource: _meta_v1_pb2.GroupVersionResource
    subResource: str
    name: str
    namespace: str
    operation: str
    userInfo: _authentication_v1_pb2.UserInfo
    object: _runtime_pb2.RawExtension
    oldObject: _runtime_pb2.RawExtension
    dryRun: bool
    options: _runtime_pb2.RawExtension
    requestKind: _meta_v1_pb2.GroupVersionKind
    requestResource: _meta_v1_pb2.GroupVersionResource
    requestSubResource: str
    def __init__(self, uid: _Optional[str] = ..., kind: _Optional[_Union[_meta_v1_pb2.GroupVersionKind, _Mapping]] = ..., resource: _Optional[_Union[_meta_v1_pb2.GroupVersionResource, _Mapping]] = ..., subResource: _Optional[str] = ..., name: _Optional[str] = ..., namespace: _Optional[str] = ..., operation: _Optional[str] = ..., userInfo: _Optional[_Union[_authentication_v1_pb2.UserInfo, _Mapping]] = ..., object: _Optional[_Union[_runtime_pb2.RawExtension, _Mapping]] = ..., oldObject: _Optional[_Union[_runtime_pb2.RawExtension, _Mapping]] = ..., dryRun: _Optional[bool] = ..., options: _Optional[_Union[_runtime_pb2.RawExtension, _Mapping]] = ..., requestKind: _Optional[_Union[_meta_v1_pb2.GroupVersionKind, _Mapping]] = ..., requestResource: _Optional[_Union[_meta_v1_pb2.GroupVersionResource, _Mapping]] = ..., requestSubResource: _Optional[str] = ...) -> None: ...

class AdmissionResponse(_message.Message):
    __slots__ = ("uid", "allowed", "status", "patch", "patchType", "auditAnnotations", "warnings")
    class AuditAnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    UID_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    PATCHTYPE_FIELD_NUMBER: _ClassVar[int]
    AUDITANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    uid: str
    allowed: bool
    status: _meta_v1_pb2.Status
    patch: bytes
    patchType: str
    auditAnnotations: _containers.ScalarMap[str, str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, uid: _Optional[str] = ..., allowed: _Optional[bool] = ..., status: _Optional[_Union[_meta_v1_pb2.Status, _Mapping]] = ..., patch: _Optional[bytes] = ..., patchType: _Optional[str] = ..., auditAnnotations: _Optional[_Mapping[str, str]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class AdmissionReview(_message.Message):
    __slots__ = ("request", "response")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    request: AdmissionRequest
    response: AdmissionResponse
    def __init__(self, request: _Optional[_Union[AdmissionRequest, _Mapping]] = ..., response: _Optional[_Union[AdmissionResponse, _Mapping]] = ...) -> None: ...
