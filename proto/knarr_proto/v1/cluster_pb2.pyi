from knarr_proto.v1 import agent_pb2 as _agent_pb2
from knarr_proto.v1 import objects_pb2 as _objects_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VersionRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VersionResponse(_message.Message):
    __slots__ = ("version", "kubernetes_version", "python_version", "cluster_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KUBERNETES_VERSION_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    version: str
    kubernetes_version: str
    python_version: str
    cluster_id: str
    def __init__(self, version: _Optional[str] = ..., kubernetes_version: _Optional[str] = ..., python_version: _Optional[str] = ..., cluster_id: _Optional[str] = ...) -> None: ...

class HealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthCheck(_message.Message):
    __slots__ = ("name", "healthy", "message")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    healthy: bool
    message: str
    def __init__(self, name: _Optional[str] = ..., healthy: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class HealthResponse(_message.Message):
    __slots__ = ("healthy", "checks")
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    checks: _containers.RepeatedCompositeFieldContainer[HealthCheck]
    def __init__(self, healthy: _Optional[bool] = ..., checks: _Optional[_Iterable[_Union[HealthCheck, _Mapping]]] = ...) -> None: ...

class WhyRequest(_message.Message):
    __slots__ = ("namespace", "pod", "type")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    pod: str
    type: _objects_pb2.ResourceType
    def __init__(self, namespace: _Optional[str] = ..., pod: _Optional[str] = ..., type: _Optional[_Union[_objects_pb2.ResourceType, _Mapping]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("severity", "subject", "reason", "message", "remedy")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SEVERITY_UNSPECIFIED: _ClassVar[Finding.Severity]
        OK: _ClassVar[Finding.Severity]
        INFO: _ClassVar[Finding.Severity]
        WARNING: _ClassVar[Finding.Severity]
        ERROR: _ClassVar[Finding.Severity]
    SEVERITY_UNSPECIFIED: Finding.Severity
    OK: Finding.Severity
    INFO: Finding.Severity
    WARNING: Finding.Severity
    ERROR: Finding.Severity
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    severity: Finding.Severity
    subject: str
    reason: str
    message: str
    remedy: str
    def __init__(self, severity: _Optional[_Union[Finding.Severity, str]] = ..., subject: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class WhyResponse(_message.Message):
    __slots__ = ("summary", "findings")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    summary: str
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    def __init__(self, summary: _Optional[str] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ...) -> None: ...

class BackupRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupChunk(_message.Message):
    __slots__ = ("data", "objects")
    DATA_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    objects: int
    def __init__(self, data: _Optional[bytes] = ..., objects: _Optional[int] = ...) -> None: ...

class FindAgentRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class FindAgentResponse(_message.Message):
    __slots__ = ("connected",)
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    connected: bool
    def __init__(self, connected: _Optional[bool] = ...) -> None: ...

class UsagesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeUsage(_message.Message):
    __slots__ = ("node", "age_ms", "usage")
    NODE_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    node: str
    age_ms: int
    usage: _agent_pb2.Usage
    def __init__(self, node: _Optional[str] = ..., age_ms: _Optional[int] = ..., usage: _Optional[_Union[_agent_pb2.Usage, _Mapping]] = ...) -> None: ...
