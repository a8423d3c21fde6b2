"""Verdicts become words: the terminal report, JSON, and other formats."""
