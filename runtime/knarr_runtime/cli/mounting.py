"""What users write to mount something: ``-v``, ``--mount``, ``--tmpfs``. Pure. Everything raises Invalid."""

from __future__ import annotations

from knarr_runtime.cli.parsing import NAME, Volume, size
from knarr_runtime.errors import Invalid

PROPAGATIONS = ("private", "rprivate", "rslave", "rshared")
TMPFS_DEFAULTS = "nosuid,nodev,noexec"
TMPFS_FLAGS = ("ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec")
TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks")
MOUNT_KEYS = "type, source, target, readonly, bind-propagation, tmpfs-size and tmpfs-mode"


def volume(text: str) -> Volume:
    """``[SOURCE:]TARGET[:OPTIONS]``; options ro, rw, private, rslave, rshared, separated by commas."""
    parts = text.split(":")
    if len(parts) == 1:
        parts = ["", text]
    if len(parts) > 3 or not all(parts[1:]) or text.startswith(":"):
        raise Invalid(f"volume {text!r}: write SOURCE:TARGET or SOURCE:TARGET:ro")
    source, target = parts[0], parts[1]
    readonly, propagation = False, "private"
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            readonly = option == "ro"
        elif option in PROPAGATIONS:
            propagation = option.replace("rprivate", "private")
        elif option not in ("z", "Z"):
            raise Invalid(f"volume {text!r}: unknown option {option!r}; ro, rw, rprivate, rslave and rshared are known")
    return _checked(Volume(source=source, target=target, readonly=readonly, propagation=propagation), text)


def _checked(found: Volume, text: str) -> Volume:
    if not found.target.startswith("/"):
        raise Invalid(f"volume {text!r}: the target {found.target!r} must be an absolute path")
    if found.source and not found.source.startswith("/") and not NAME.fullmatch(found.source):
        raise Invalid(
            f"volume {text!r}: {found.source!r} is neither an absolute path nor a volume's name ({NAME.pattern})"
        )
    return found


def tmpfs(text: str) -> tuple[str, str]:
    """``TARGET[:OPTIONS]``: target, and options as for mount -o."""
    target, _, options = text.partition(":")
    if not target.startswith("/"):
        raise Invalid(f"tmpfs {text!r}: the target must be an absolute path")
    given = [option for option in options.split(",") if option]
    for option in given:
        key, equals, _ = option.partition("=")
        if key not in (TMPFS_VALUES if equals else TMPFS_FLAGS):
            raise Invalid(f"tmpfs {text!r}: unknown option {option!r}; write size=64m, mode=1777, uid=, gid= or noexec")
    kept = [one for one in TMPFS_DEFAULTS.split(",") if one.removeprefix("no") not in given]
    return target, ",".join(dict.fromkeys((*kept, *given)))


def mount(text: str) -> Volume | tuple[str, str]:
    """``type=bind|volume|tmpfs,source=…,target=…``: a Volume, or what :func:`tmpfs` gives."""
    pairs: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        pairs[_KEYS.get(key, key)] = value if equals else "true"
    kind = pairs.pop("type", "volume")
    target, source = pairs.pop("target", ""), pairs.pop("source", "")
    readonly = pairs.pop("readonly", "false") not in ("false", "0")
    if not target:
        raise Invalid(f"mount {text!r}: target is required")
    if kind == "tmpfs":
        options = [f"size={size(pairs.pop('tmpfs-size'))}"] if "tmpfs-size" in pairs else []
        options += [f"mode={pairs.pop('tmpfs-mode')}"] if "tmpfs-mode" in pairs else []
        options += ["ro"] if readonly else []
        _nothing_left(pairs, text)
        return tmpfs(f"{target}:{','.join(options)}")
    if kind not in ("bind", "volume") or (kind == "bind") != source.startswith("/"):
        raise Invalid(f"mount {text!r}: type is bind (with an absolute source), volume or tmpfs")
    propagation = pairs.pop("bind-propagation", "rprivate")
    if propagation not in PROPAGATIONS:
        raise Invalid(f"mount {text!r}: bind-propagation is one of {', '.join(PROPAGATIONS)}")
    _nothing_left(pairs, text)
    found = Volume(
        source=source, target=target, readonly=readonly, propagation=propagation.replace("rprivate", "private")
    )
    return _checked(found, text)


_KEYS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}


def _nothing_left(pairs: dict[str, str], text: str) -> None:
    if pairs:
        raise Invalid(f"mount {text!r}: {', '.join(pairs)} not known; {MOUNT_KEYS} are")
