"""Numbers of the system calls in which a process can wait, by machine.

``/proc/PID/syscall`` gives a number and six raw arguments (proc(5)); only calls that can block
matter here, so the tables are short. An unknown machine or number is no error: the process then
simply counts as alive, never as stuck.
"""

from __future__ import annotations

import platform

_X86_64 = {
    0: "read", 1: "write", 2: "open", 7: "poll", 17: "pread64", 19: "readv", 20: "writev", 23: "select",
    34: "pause", 35: "nanosleep", 40: "sendfile", 42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom",
    46: "sendmsg", 47: "recvmsg", 56: "clone", 57: "fork", 58: "vfork", 61: "wait4", 65: "semop",
    69: "msgsnd", 70: "msgrcv", 72: "fcntl", 73: "flock", 128: "rt_sigtimedwait", 130: "rt_sigsuspend",
    202: "futex", 219: "restart_syscall", 220: "semtimedop", 230: "clock_nanosleep", 232: "epoll_wait",
    242: "mq_timedsend", 243: "mq_timedreceive", 247: "waitid", 257: "openat", 270: "pselect6", 271: "ppoll",
    275: "splice", 276: "tee", 278: "vmsplice", 281: "epoll_pwait", 288: "accept4", 299: "recvmmsg",
    435: "clone3", 437: "openat2", 441: "epoll_pwait2",
}  # fmt: skip

_AARCH64 = {
    22: "epoll_pwait", 25: "fcntl", 32: "flock", 56: "openat", 63: "read", 64: "write", 65: "readv",
    66: "writev", 67: "pread64", 71: "sendfile", 72: "pselect6", 73: "ppoll", 75: "vmsplice", 76: "splice",
    77: "tee", 95: "waitid", 98: "futex", 101: "nanosleep", 115: "clock_nanosleep", 128: "restart_syscall",
    133: "rt_sigsuspend", 137: "rt_sigtimedwait", 182: "mq_timedsend", 183: "mq_timedreceive", 188: "msgrcv",
    189: "msgsnd", 192: "semtimedop", 193: "semop", 202: "accept", 203: "connect", 206: "sendto",
    207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 220: "clone", 242: "accept4", 243: "recvmmsg",
    260: "wait4", 435: "clone3", 437: "openat2", 441: "epoll_pwait2",
}  # fmt: skip

NAMES: dict[int, str] = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(platform.machine(), {})
"""Name of each system call that can block, by its number on this machine."""
