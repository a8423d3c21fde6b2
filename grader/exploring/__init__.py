"""Trouble on purpose: schedules of threads and processes, signals at every point."""
