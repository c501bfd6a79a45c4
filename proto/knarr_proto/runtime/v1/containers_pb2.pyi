from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignalRequest(_message.Message):
    __slots__ = ("container_id", "signal", "stops")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STOPS_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    signal: str
    stops: bool
    def __init__(self, container_id: _Optional[str] = ..., signal: _Optional[str] = ..., stops: _Optional[bool] = ...) -> None: ...

class SignalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WaitRequest(_message.Message):
    __slots__ = ("container_id", "removed")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    removed: bool
    def __init__(self, container_id: _Optional[str] = ..., removed: _Optional[bool] = ...) -> None: ...

class WaitResponse(_message.Message):
    __slots__ = ("exit_code", "reason", "message")
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    exit_code: int
    reason: str
    message: str
    def __init__(self, exit_code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ExecRequest(_message.Message):
    __slots__ = ("container_id", "command", "tty", "stdin", "env", "cwd", "user")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    command: _containers.RepeatedScalarFieldContainer[str]
    tty: bool
    stdin: bool
    env: _containers.RepeatedScalarFieldContainer[str]
    cwd: str
    user: str
    def __init__(self, container_id: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., tty: _Optional[bool] = ..., stdin: _Optional[bool] = ..., env: _Optional[_Iterable[str]] = ..., cwd: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class ExecResponse(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ("container_id", "prepare")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    prepare: bool
    def __init__(self, container_id: _Optional[str] = ..., prepare: _Optional[bool] = ...) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ("container_id", "resume")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    resume: bool
    def __init__(self, container_id: _Optional[str] = ..., resume: _Optional[bool] = ...) -> None: ...

class PauseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChangeRequest(_message.Message):
    __slots__ = ("container_id", "name", "restart", "resources")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    name: str
    restart: str
    resources: bytes
    def __init__(self, container_id: _Optional[str] = ..., name: _Optional[str] = ..., restart: _Optional[str] = ..., resources: _Optional[bytes] = ...) -> None: ...

class ChangeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DiscardRequest(_message.Message):
    __slots__ = ("container_id", "force", "volumes")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    force: bool
    volumes: bool
    def __init__(self, container_id: _Optional[str] = ..., force: _Optional[bool] = ..., volumes: _Optional[bool] = ...) -> None: ...

class DiscardResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("container_ids", "sizes")
    CONTAINER_IDS_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    container_ids: _containers.RepeatedScalarFieldContainer[str]
    sizes: bool
    def __init__(self, container_ids: _Optional[_Iterable[str]] = ..., sizes: _Optional[bool] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("containers",)
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    containers: _containers.RepeatedCompositeFieldContainer[Description]
    def __init__(self, containers: _Optional[_Iterable[_Union[Description, _Mapping]]] = ...) -> None: ...

class Description(_message.Message):
    __slots__ = ("container_id", "paused", "restarting", "restarts", "pids", "layer_bytes", "image_bytes", "address")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    RESTARTING_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    LAYER_BYTES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    paused: bool
    restarting: bool
    restarts: int
    pids: _containers.RepeatedScalarFieldContainer[int]
    layer_bytes: int
    image_bytes: int
    address: str
    def __init__(self, container_id: _Optional[str] = ..., paused: _Optional[bool] = ..., restarting: _Optional[bool] = ..., restarts: _Optional[int] = ..., pids: _Optional[_Iterable[int]] = ..., layer_bytes: _Optional[int] = ..., image_bytes: _Optional[int] = ..., address: _Optional[str] = ...) -> None: ...

class CopyOutRequest(_message.Message):
    __slots__ = ("container_id", "path", "follow_link")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_LINK_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    path: str
    follow_link: bool
    def __init__(self, container_id: _Optional[str] = ..., path: _Optional[str] = ..., follow_link: _Optional[bool] = ...) -> None: ...

class CopyOutResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class CopyInRequest(_message.Message):
    __slots__ = ("container_id", "path", "data", "keep_owner", "contents", "raw")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    KEEP_OWNER_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    path: str
    data: bytes
    keep_owner: bool
    contents: bool
    raw: bool
    def __init__(self, container_id: _Optional[str] = ..., path: _Optional[str] = ..., data: _Optional[bytes] = ..., keep_owner: _Optional[bool] = ..., contents: _Optional[bool] = ..., raw: _Optional[bool] = ...) -> None: ...

class CopyInResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChangesRequest(_message.Message):
    __slots__ = ("container_id",)
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    def __init__(self, container_id: _Optional[str] = ...) -> None: ...

class ChangesResponse(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[FileChange]
    def __init__(self, changes: _Optional[_Iterable[_Union[FileChange, _Mapping]]] = ...) -> None: ...

class FileChange(_message.Message):
    __slots__ = ("kind", "path")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    kind: str
    path: str
    def __init__(self, kind: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ("container_id", "tags", "author", "comment", "changes", "pause")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    author: str
    comment: str
    changes: _containers.RepeatedScalarFieldContainer[str]
    pause: bool
    def __init__(self, container_id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., author: _Optional[str] = ..., comment: _Optional[str] = ..., changes: _Optional[_Iterable[str]] = ..., pause: _Optional[bool] = ...) -> None: ...

class CommitResponse(_message.Message):
    __slots__ = ("image_id",)
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    def __init__(self, image_id: _Optional[str] = ...) -> None: ...

class VolumeCreateRequest(_message.Message):
    __slots__ = ("name", "labels", "anonymous", "image", "path")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    anonymous: bool
    image: str
    path: str
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., anonymous: _Optional[bool] = ..., image: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class VolumeCreateResponse(_message.Message):
    __slots__ = ("volume",)
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    volume: Volume
    def __init__(self, volume: _Optional[_Union[Volume, _Mapping]] = ...) -> None: ...

class Volume(_message.Message):
    __slots__ = ("name", "path", "labels", "anonymous", "created_at_ns", "container_ids", "bytes")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_IDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    labels: _containers.ScalarMap[str, str]
    anonymous: bool
    created_at_ns: int
    container_ids: _containers.RepeatedScalarFieldContainer[str]
    bytes: int
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., anonymous: _Optional[bool] = ..., created_at_ns: _Optional[int] = ..., container_ids: _Optional[_Iterable[str]] = ..., bytes: _Optional[int] = ...) -> None: ...

class VolumeListRequest(_message.Message):
    __slots__ = ("sizes",)
    SIZES_FIELD_NUMBER: _ClassVar[int]
    sizes: bool
    def __init__(self, sizes: _Optional[bool] = ...) -> None: ...

class VolumeListResponse(_message.Message):
    __slots__ = ("volumes",)
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    volumes: _containers.RepeatedCompositeFieldContainer[Volume]
    def __init__(self, volumes: _Optional[_Iterable[_Union[Volume, _Mapping]]] = ...) -> None: ...

class VolumeDeleteRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class VolumeDeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
