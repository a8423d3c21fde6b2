"""Programs become facts: the sandbox, processes, what they wait for, what they left behind."""
