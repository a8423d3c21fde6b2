"""Right: SIGUSR1 is blocked from the start and taken with sigwait, so it waits in the kernel until it is wanted."""

import signal

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
signal.sigwait({signal.SIGUSR1})
print("seen", flush=True)
