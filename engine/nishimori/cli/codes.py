"""Exit codes of every command."""

DONE = 0
WRONG_INPUT = 2
VERDICT_FAILED = DIFFERS = 3
SET_ASIDE = 4
INTERRUPTED = 75
