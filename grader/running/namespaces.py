"""Joining a sandbox's namespaces, for a short-lived child of the grader, never for the grader itself (setns(2))."""

from __future__ import annotations

import ctypes
import fcntl
import os

IPC = 0x08000000
NETWORK = 0x40000000
_GET_USERNS = 0xB701
"""The request of ioctl_ns(2) for the user namespace that owns another namespace"""
_LIBC = ctypes.CDLL(None, use_errno=True)


def join(namespace: int, kind: int) -> None:
    """Join a namespace by its descriptor.

    Joining the user namespace that owns it gives an unprivileged grader the right to do so; a root grader
    has it.

    :raises OSError: if that is not allowed
    """
    if os.geteuid() != 0:
        _setns(fcntl.ioctl(namespace, _GET_USERNS), 0)
    _setns(namespace, kind)


def _setns(descriptor: int, kind: int) -> None:
    if _LIBC.setns(descriptor, kind) != 0:
        raise OSError(ctypes.get_errno(), "setns")
