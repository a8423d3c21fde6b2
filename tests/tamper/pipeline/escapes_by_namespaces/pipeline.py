# Tries: to get more rights by a user namespace of its own, to mount, to trace its parent, and to raise its limits.
import ctypes
import os
import resource

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS, PTRACE_ATTACH = 0x10000000, 0x20000, 16
print("unshare", libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), os.strerror(ctypes.get_errno()))
print("mount", libc.mount(b"none", b"/usr", b"tmpfs", 0, None), os.strerror(ctypes.get_errno()))
print("remount", libc.mount(None, b"/usr", None, 32 | 4096, None), os.strerror(ctypes.get_errno()))
print("ptrace", libc.ptrace(PTRACE_ATTACH, os.getppid(), None, None), os.strerror(ctypes.get_errno()))
for name in ("RLIMIT_NPROC", "RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE"):
    try:
        resource.setrlimit(getattr(resource, name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print("raised", name)
    except (OSError, ValueError) as error:
        print("no", name, error)
