"""`python -m nishimori.executors.work WORDS...`: one attempt at a task, in a process of its own.

Its last line on stdout is the outcome as JSON; progress goes to stderr. SIGTERM, SIGUSR2 and SIGINT finish the
transition, commit and end it. Exit codes are those of the command line: 0 done, 1 failed, 2 refused, 75 stopped.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from nishimori.executors.tasks import Outcome, State, Task

PATIENCE = 86_400.0
"""Seconds that a point is waited for which another process holds: a host that is gone, or a job that was requeued
although it had answered."""
CODES: dict[State, int] = {"done": 0, "failed": 1, "stopped": 75}


def main(words: Sequence[str]) -> int:
    outcome = attempted(Task.of_words(list(words)))
    print(json.dumps(asdict(outcome)), flush=True)
    return CODES.get(outcome.state, 2)


def attempted(task: Task) -> Outcome:
    """By this process, which is asked to end by signals and tells of progress on stderr."""
    from nishimori.chains.progress import reporter
    from nishimori.chains.stop import StopRequest
    from nishimori.executors.worker import attempt

    def tell(sentence: str) -> None:
        print(f"nishimori: {sentence}", file=sys.stderr, flush=True)

    stop = StopRequest()
    with stop.listening():
        return attempt(task, reporter(task.point), tell, stop, PATIENCE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
