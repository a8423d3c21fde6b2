# Tries: to leave POSIX objects behind: a named semaphore, a shared segment, a message queue, and an abstract socket's holder.
import ctypes
import os
import socket

for library in ("librt.so.1", None):
    try:
        libc = ctypes.CDLL(library, use_errno=True)
        libc.mq_open(b"/proclab_left_behind", os.O_CREAT | os.O_RDWR, 0o600, None)
        break
    except (OSError, AttributeError):
        pass
for folder in ("/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp", "/run"):
    try:
        with open(f"{folder}/proclab_left_behind", "w") as left:
            left.write("left behind")
    except OSError:
        pass
if os.fork() == 0:
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0proclab_left_behind")
    server.listen()
    os.setsid()
    server.accept()
