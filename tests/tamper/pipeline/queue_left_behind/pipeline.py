# Tries: to leave System V objects behind: a queue with a message, a segment, a semaphore.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
queue = libc.msgget(0x70726F63, 0o1600)


class Message(ctypes.Structure):
    _fields_ = [("mtype", ctypes.c_long), ("mtext", ctypes.c_char * 16)]


message = Message(1, b"left behind")
libc.msgsnd(queue, ctypes.byref(message), ctypes.c_size_t(16), 0o4000)
libc.shmget(0x70726F63, ctypes.c_size_t(4096), 0o1600)
libc.semget(0x70726F63, 1, 0o1600)
