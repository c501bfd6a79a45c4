from google.protobuf import any_pb2 as _any_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    JSON: _ClassVar[Encoding]
    PROTOBUF: _ClassVar[Encoding]

class FieldValidation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIELD_VALIDATION_UNSPECIFIED: _ClassVar[FieldValidation]
    STRICT: _ClassVar[FieldValidation]
    WARN: _ClassVar[FieldValidation]
    IGNORE: _ClassVar[FieldValidation]

class PatchType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PATCH_TYPE_UNSPECIFIED: _ClassVar[PatchType]
    MERGE: _ClassVar[PatchType]
    JSON_PATCH: _ClassVar[PatchType]
    STRATEGIC: _ClassVar[PatchType]
    APPLY: _ClassVar[PatchType]

class PropagationPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROPAGATION_POLICY_UNSPECIFIED: _ClassVar[PropagationPolicy]
    BACKGROUND: _ClassVar[PropagationPolicy]
    FOREGROUND: _ClassVar[PropagationPolicy]
    ORPHAN: _ClassVar[PropagationPolicy]
ENCODING_UNSPECIFIED: Encoding
JSON: Encoding
PROTOBUF: Encoding
FIELD_VALIDATION_UNSPECIFIED: FieldValidation
STRICT: FieldValidation
WARN: FieldValidation
IGNORE: FieldValidation
PATCH_TYPE_UNSPECIFIED: PatchType
MERGE: PatchType
JSON_PATCH: PatchType
STRATEGIC: PatchType
APPLY: PatchType
PROPAGATION_POLICY_UNSPECIFIED: PropagationPolicy
BACKGROUND: PropagationPolicy
FOREGROUND: PropagationPolicy
ORPHAN: PropagationPolicy

class ResourceType(_message.Message):
    __slots__ = ("group", "version", "resource")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    group: str
    version: str
    resource: str
    def __init__(self, group: _Optional[str] = ..., version: _Optional[str] = ..., resource: _Optional[str] = ...) -> None: ...

class Object(_message.Message):
    __slots__ = ("json", "typed")
    JSON_FIELD_NUMBER: _ClassVar[int]
    TYPED_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    typed: _any_pb2.Any
    def __init__(self, json: _Optional[bytes] = ..., typed: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class ObjectResponse(_message.Message):
    __slots__ = ("object", "warnings")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    object: Object
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, object: _Optional[_Union[Object, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("type", "namespace", "name", "encoding", "subresource")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SUBRESOURCE_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    name: str
    encoding: Encoding
    subresource: str
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., subresource: _Optional[str] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("type", "namespace", "label_selector", "field_selector", "limit", "resource_version", "encoding", "resource_version_match")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LABEL_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    FIELD_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CONTINUE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_MATCH_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    label_selector: str
    field_selector: str
    limit: int
    resource_version: str
    encoding: Encoding
    resource_version_match: str
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., label_selector: _Optional[str] = ..., field_selector: _Optional[str] = ..., limit: _Optional[int] = ..., resource_version: _Optional[str] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., resource_version_match: _Optional[str] = ..., **kwargs) -> None: ...

class ObjectList(_message.Message):
    __slots__ = ("items", "resource_version", "remaining_item_count")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CONTINUE_FIELD_NUMBER: _ClassVar[int]
    REMAINING_ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Object]
    resource_version: str
    remaining_item_count: int
    def __init__(self, items: _Optional[_Iterable[_Union[Object, _Mapping]]] = ..., resource_version: _Optional[str] = ..., remaining_item_count: _Optional[int] = ..., **kwargs) -> None: ...

class CreateRequest(_message.Message):
    __slots__ = ("type", "namespace", "object", "dry_run", "field_validation", "field_manager", "encoding")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FIELD_VALIDATION_FIELD_NUMBER: _ClassVar[int]
    FIELD_MANAGER_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    object: Object
    dry_run: bool
    field_validation: FieldValidation
    field_manager: str
    encoding: Encoding
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., object: _Optional[_Union[Object, _Mapping]] = ..., dry_run: _Optional[bool] = ..., field_validation: _Optional[_Union[FieldValidation, str]] = ..., field_manager: _Optional[str] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class UpdateRequest(_message.Message):
    __slots__ = ("type", "namespace", "object", "subresource", "dry_run", "field_validation", "field_manager", "encoding")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    SUBRESOURCE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FIELD_VALIDATION_FIELD_NUMBER: _ClassVar[int]
    FIELD_MANAGER_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    object: Object
    subresource: str
    dry_run: bool
    field_validation: FieldValidation
    field_manager: str
    encoding: Encoding
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., object: _Optional[_Union[Object, _Mapping]] = ..., subresource: _Optional[str] = ..., dry_run: _Optional[bool] = ..., field_validation: _Optional[_Union[FieldValidation, str]] = ..., field_manager: _Optional[str] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class PatchRequest(_message.Message):
    __slots__ = ("type", "namespace", "name", "subresource", "patch_type", "patch", "dry_run", "field_validation", "field_manager", "encoding", "force")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBRESOURCE_FIELD_NUMBER: _ClassVar[int]
    PATCH_TYPE_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FIELD_VALIDATION_FIELD_NUMBER: _ClassVar[int]
    FIELD_MANAGER_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    name: str
    subresource: str
    patch_type: PatchType
    patch: bytes
    dry_run: bool
    field_validation: FieldValidation
    field_manager: str
    encoding: Encoding
    force: bool
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., subresource: _Optional[str] = ..., patch_type: _Optional[_Union[PatchType, str]] = ..., patch: _Optional[bytes] = ..., dry_run: _Optional[bool] = ..., field_validation: _Optional[_Union[FieldValidation, str]] = ..., field_manager: _Optional[str] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., force: _Optional[bool] = ...) -> None: ...

class ApplyRequest(_message.Message):
    __slots__ = ("type", "namespace", "object", "dry_run", "field_validation", "field_manager", "encoding")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FIELD_VALIDATION_FIELD_NUMBER: _ClassVar[int]
    FIELD_MANAGER_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    object: Object
    dry_run: bool
    field_validation: FieldValidation
    field_manager: str
    encoding: Encoding
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., object: _Optional[_Union[Object, _Mapping]] = ..., dry_run: _Optional[bool] = ..., field_validation: _Optional[_Union[FieldValidation, str]] = ..., field_manager: _Optional[str] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class ApplyResponse(_message.Message):
    __slots__ = ("object", "warnings", "outcome")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[ApplyResponse.Outcome]
        CREATED: _ClassVar[ApplyResponse.Outcome]
        CONFIGURED: _ClassVar[ApplyResponse.Outcome]
        UNCHANGED: _ClassVar[ApplyResponse.Outcome]
    OUTCOME_UNSPECIFIED: ApplyResponse.Outcome
    CREATED: ApplyResponse.Outcome
    CONFIGURED: ApplyResponse.Outcome
    UNCHANGED: ApplyResponse.Outcome
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    object: Object
    warnings: _containers.RepeatedScalarFieldContainer[str]
    outcome: ApplyResponse.Outcome
    def __init__(self, object: _Optional[_Union[Object, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., outcome: _Optional[_Union[ApplyResponse.Outcome, str]] = ...) -> None: ...

class Preconditions(_message.Message):
    __slots__ = ("uid", "resource_version")
    UID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    uid: str
    resource_version: str
    def __init__(self, uid: _Optional[str] = ..., resource_version: _Optional[str] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("type", "namespace", "name", "grace_period_seconds", "propagation", "preconditions", "dry_run", "encoding")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROPAGATION_FIELD_NUMBER: _ClassVar[int]
    PRECONDITIONS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    name: str
    grace_period_seconds: int
    propagation: PropagationPolicy
    preconditions: Preconditions
    dry_run: bool
    encoding: Encoding
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., grace_period_seconds: _Optional[int] = ..., propagation: _Optional[_Union[PropagationPolicy, str]] = ..., preconditions: _Optional[_Union[Preconditions, _Mapping]] = ..., dry_run: _Optional[bool] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class DeleteCollectionRequest(_message.Message):
    __slots__ = ("type", "namespace", "label_selector", "field_selector", "grace_period_seconds", "propagation", "dry_run", "encoding")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LABEL_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    FIELD_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROPAGATION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    label_selector: str
    field_selector: str
    grace_period_seconds: int
    propagation: PropagationPolicy
    dry_run: bool
    encoding: Encoding
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., label_selector: _Optional[str] = ..., field_selector: _Optional[str] = ..., grace_period_seconds: _Optional[int] = ..., propagation: _Optional[_Union[PropagationPolicy, str]] = ..., dry_run: _Optional[bool] = ..., encoding: _Optional[_Union[Encoding, str]] = ...) -> None: ...

class EvictRequest(_message.Message):
    __slots__ = ("namespace", "name", "grace_period_seconds", "preconditions", "dry_run")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PRECONDITIONS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    grace_period_seconds: int
    preconditions: Preconditions
    dry_run: bool
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., grace_period_seconds: _Optional[int] = ..., preconditions: _Optional[_Union[Preconditions, _Mapping]] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class EvictResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("type", "namespace", "label_selector", "field_selector", "resource_version", "allow_bookmarks", "encoding", "send_initial_events", "resource_version_match")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LABEL_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    FIELD_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ALLOW_BOOKMARKS_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SEND_INITIAL_EVENTS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_MATCH_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    namespace: str
    label_selector: str
    field_selector: str
    resource_version: str
    allow_bookmarks: bool
    encoding: Encoding
    send_initial_events: bool
    resource_version_match: str
    def __init__(self, type: _Optional[_Union[ResourceType, _Mapping]] = ..., namespace: _Optional[str] = ..., label_selector: _Optional[str] = ..., field_selector: _Optional[str] = ..., resource_version: _Optional[str] = ..., allow_bookmarks: _Optional[bool] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., send_initial_events: _Optional[bool] = ..., resource_version_match: _Optional[str] = ...) -> None: ...

class WatchEvent(_message.Message):
    __slots__ = ("type", "object", "resource_version")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[WatchEvent.Type]
        ADDED: _ClassVar[WatchEvent.Type]
        MODIFIED: _ClassVar[WatchEvent.Type]
        DELETED: _ClassVar[WatchEvent.Type]
        BOOKMARK: _ClassVar[WatchEvent.Type]
    TYPE_UNSPECIFIED: WatchEvent.Type
    ADDED: WatchEvent.Type
    MODIFIED: WatchEvent.Type
    DELETED: WatchEvent.Type
    BOOKMARK: WatchEvent.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    type: WatchEvent.Type
    object: Object
    resource_version: str
    def __init__(self, type: _Optional[_Union[WatchEvent.Type, str]] = ..., object: _Optional[_Union[Object, _Mapping]] = ..., resource_version: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[WatchEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[WatchEvent, _Mapping]]] = ...) -> None: ...

class BindRequest(_message.Message):
    __slots__ = ("namespace", "name", "uid", "node", "dry_run")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    uid: str
    node: str
    dry_run: bool
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., uid: _Optional[str] = ..., node: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class KindsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KindInfo(_message.Message):
    __slots__ = ("group", "version", "kind", "resource", "singular", "short_names", "namespaced", "acting")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    SINGULAR_FIELD_NUMBER: _ClassVar[int]
    SHORT_NAMES_FIELD_NUMBER: _ClassVar[int]
    NAMESPACED_FIELD_NUMBER: _ClassVar[int]
    ACTING_FIELD_NUMBER: _ClassVar[int]
    group: str
    version: str
    kind: str
    resource: str
    singular: str
    short_names: _containers.RepeatedScalarFieldContainer[str]
    namespaced: bool
    acting: bool
    def __init__(self, group: _Optional[str] = ..., version: _Optional[str] = ..., kind: _Optional[str] = ..., resource: _Optional[str] = ..., singular: _Optional[str] = ..., short_names: _Optional[_Iterable[str]] = ..., namespaced: _Optional[bool] = ..., acting: _Optional[bool] = ...) -> None: ...

class KindsResponse(_message.Message):
    __slots__ = ("kinds",)
    KINDS_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedCompositeFieldContainer[KindInfo]
    def __init__(self, kinds: _Optional[_Iterable[_Union[KindInfo, _Mapping]]] = ...) -> None: ...

class ExchangeRequest(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    def __init__(self, calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("id", "get", "create", "update", "patch", "apply", "delete", "bind", "evict", "cancel", "traceparent")
    ID_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    APPLY_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    BIND_FIELD_NUMBER: _ClassVar[int]
    EVICT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    id: int
    get: GetRequest
    create: CreateRequest
    update: UpdateRequest
    patch: PatchRequest
    apply: ApplyRequest
    delete: DeleteRequest
    bind: BindRequest
    evict: EvictRequest
    cancel: CancelRequest
    traceparent: str
    def __init__(self, id: _Optional[int] = ..., get: _Optional[_Union[GetRequest, _Mapping]] = ..., create: _Optional[_Union[CreateRequest, _Mapping]] = ..., update: _Optional[_Union[UpdateRequest, _Mapping]] = ..., patch: _Optional[_Union[PatchRequest, _Mapping]] = ..., apply: _Optional[_Union[ApplyRequest, _Mapping]] = ..., delete: _Optional[_Union[DeleteRequest, _Mapping]] = ..., bind: _Optional[_Union[BindRequest, _Mapping]] = ..., evict: _Optional[_Union[EvictRequest, _Mapping]] = ..., cancel: _Optional[_Union[CancelRequest, _Mapping]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExchangeResponse(_message.Message):
    __slots__ = ("answers", "leaving")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    leaving: bool
    def __init__(self, answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ..., leaving: _Optional[bool] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("id", "error", "object", "applied", "evicted")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    EVICTED_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: _status_pb2.Status
    object: ObjectResponse
    applied: ApplyResponse
    evicted: EvictResponse
    def __init__(self, id: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., object: _Optional[_Union[ObjectResponse, _Mapping]] = ..., applied: _Optional[_Union[ApplyResponse, _Mapping]] = ..., evicted: _Optional[_Union[EvictResponse, _Mapping]] = ...) -> None: ...
