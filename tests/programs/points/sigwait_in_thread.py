"""Right: a thread takes SIGUSR1 for the whole process, in which it is blocked; main waits for that thread."""

import signal
import threading

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
taker = threading.Thread(target=signal.sigwait, args=({signal.SIGUSR1},))
taker.start()
print("ready", flush=True)
taker.join()
print("seen", flush=True)
