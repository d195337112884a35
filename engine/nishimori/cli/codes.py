"""Exit codes of every command."""

DONE = 0
WRONG_INPUT = 2
VERDICT_FAILED = DIFFERS = 3
INTERRUPTED = 75
