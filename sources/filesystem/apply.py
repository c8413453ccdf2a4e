"""Applying metadata to what was just restored.

Order: owner, mode, attributes, times. A chown clears setuid bits and security.capability, so both follow it;
    an ACL sets the group bits of the mode to its mask, which is what the stored mode holds too; everything
    moves times. What cannot be applied is told as a note, never raised: the content is there, and the person
    decides.
"""

import errno
import grp
import os
import pwd
import stat
from typing import Final

from sources.filesystem.metadata import Meta
from sources.source import Note, reason

_PERMISSIONS: Final = 0o7777
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_ACCESS_ACL: Final = b"system.posix_acl_access"
_DEFAULT_ACL: Final = b"system.posix_acl_default"
_NO_ACL: Final = frozenset({errno.ENODATA, errno.ENOTSUP})


class MetadataApplier:
    """Applies metadata below one target, whose handle is `root`; asks the system for each owner name once."""

    def __init__(self, root: int) -> None:
        top = os.fstat(root)
        self._uid = os.geteuid()
        self._gid = os.getegid()
        self._may_chown = self._uid == 0
        # What is created below a setgid directory, or on some mounts below any, takes its group from there.
        self._group_is_ours = top.st_gid == self._gid and not top.st_mode & stat.S_ISGID
        self._inherits_acl = _has_default_acl(root)
        self._owner_told = False
        self._uids: dict[tuple[int, str], int] = {}
        self._gids: dict[tuple[int, str], int] = {}

    def to_open(self, fd: int, path: bytes, meta: Meta) -> list[Note]:
        """Applies everything to an open regular file or directory of ours."""
        notes: list[Note] = []
        uid, gid, mode = self._owner_and_mode(path, meta, notes)
        if self._may_chown and (uid != self._uid or gid != self._gid or not self._group_is_ours):
            try:
                os.chown(fd, uid, gid)
            except OSError as error:
                mode &= ~_SET_ID
                notes.append((path, f"its owner cannot be restored: {reason(error)}"))
        try:
            os.chmod(fd, mode)
        except OSError as error:
            notes.append((path, f"its mode cannot be restored: {reason(error)}"))
        if self._inherits_acl:
            self._drop_inherited_acl(fd, path, meta, notes)
        if meta.xattrs:
            self._set_xattrs(fd, path, meta, notes)
        try:
            os.utime(fd, ns=(meta.mtime_ns, meta.mtime_ns))
        except (OSError, OverflowError):
            notes.append((path, "its time cannot be restored"))
        return notes

    def to_node(self, dir_fd: int, name: bytes, path: bytes, meta: Meta) -> list[Note]:
        """Applies everything to a link, FIFO or device of ours, without following it.

        Raises:
            OSError: it cannot be opened: it is no longer there.
        """
        # An O_PATH handle is the thing itself: a chmod through /proc cannot be led elsewhere by a swap.
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            return self._to_itself(fd, path, meta)
        finally:
            os.close(fd)

    def _to_itself(self, fd: int, path: bytes, meta: Meta) -> list[Note]:
        notes: list[Note] = []
        itself = b"/proc/self/fd/%d" % fd
        uid, gid, mode = self._owner_and_mode(path, meta, notes)
        try:
            if self._may_chown:
                os.chown(itself, uid, gid)
            if meta.kind != "l":
                os.chmod(itself, mode)
        except OSError as error:
            notes.append((path, f"its owner or mode cannot be restored: {reason(error)}"))
        if self._inherits_acl and meta.kind != "l":
            self._drop_inherited_acl(itself, path, meta, notes)
        if meta.xattrs:
            self._set_xattrs(itself, path, meta, notes)
        try:
            os.utime(itself, ns=(meta.mtime_ns, meta.mtime_ns))
        except (OSError, OverflowError):
            notes.append((path, "its time cannot be restored"))
        return notes

    def _owner_and_mode(self, path: bytes, meta: Meta, notes: list[Note]) -> tuple[int, int, int]:
        """Owner ids, by name first; the mode, without setuid and setgid when they would mean someone else."""
        uid = self._uids.get((meta.uid, meta.uname), -1)
        if uid < 0:
            uid = self._uids[meta.uid, meta.uname] = _user_id(meta.uname, meta.uid)
        gid = self._gids.get((meta.gid, meta.gname), -1)
        if gid < 0:
            gid = self._gids[meta.gid, meta.gname] = _group_id(meta.gname, meta.gid)
        mode = meta.mode & _PERMISSIONS
        if not self._may_chown and (uid != self._uid or gid != self._gid):
            mode &= ~_SET_ID
            if not self._owner_told:
                self._owner_told = True
                notes.append(
                    (path, "owners other than yourself are not restored: only root may do that (said once)")
                )
        return uid, gid, mode

    def _set_xattrs(self, place: int | bytes, path: bytes, meta: Meta, notes: list[Note]) -> None:
        for name, value in meta.xattrs:
            try:
                os.setxattr(place, name, value)
            except OSError as error:
                notes.append(
                    (path, f"extended attribute {os.fsdecode(name)!a} cannot be restored: {reason(error)}")
                )

    def _drop_inherited_acl(self, place: int | bytes, path: bytes, meta: Meta, notes: list[Note]) -> None:
        """A default ACL of the target marks everything created below it; only what was stored may stay."""
        stored = {name for name, _ in meta.xattrs}
        for name in (_ACCESS_ACL, _DEFAULT_ACL):
            if name not in stored and (name == _ACCESS_ACL or meta.kind == "d"):
                try:
                    os.removexattr(place, name)
                except OSError as error:
                    if error.errno not in _NO_ACL:
                        notes.append((path, f"an ACL inherited from the target stays: {reason(error)}"))


def _has_default_acl(directory: int) -> bool:
    try:
        return bool(os.getxattr(directory, _DEFAULT_ACL))
    except OSError:
        return False


def _user_id(name: str, number: int) -> int:
    try:
        return pwd.getpwnam(name).pw_uid if name else number
    except (KeyError, OSError, ValueError):
        return number


def _group_id(name: str, number: int) -> int:
    try:
        return grp.getgrnam(name).gr_gid if name else number
    except (KeyError, OSError, ValueError):
        return number
