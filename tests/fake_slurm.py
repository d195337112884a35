"""As much of Slurm as a job array needs: sbatch, srun, squeue, sacct, scontrol and scancel on PATH, with their state in
the folder FAKE_SLURM. At most two elements run at a time, and one that was requeued runs again from its beginning.

In the folder are, for job J and element K: J.json, J.sh, and J_K.state (as sacct says it), J_K.pid (of the process that
signals go to) and J_K.requeue.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scontrol", "scancel")
AT_A_TIME = 2


def install(folder: Path) -> dict[str, str]:
    """The environment of a machine with this Slurm."""
    programs, state = folder / "bin", folder / "slurm"
    programs.mkdir()
    state.mkdir()
    for name in COMMANDS:
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n')
        program.chmod(0o755)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(state), "USER": "somebody"}


def home() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def sbatch(script: str) -> None:
    number = 1 + len(list(home().glob("*.sh")))
    copy = home() / f"{number}.sh"
    shutil.copy(script, copy)
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", copy.read_text(), re.MULTILINE))
    (home() / f"{number}.json").write_text(json.dumps(asked))
    last = re.fullmatch(r"0-(\d+)%\d+", asked.get("array", ""))
    for element in range(int(last[1]) + 1 if last else 1):
        (home() / f"{number}_{element}.state").write_text("PENDING")
    with (home() / f"{number}.log").open("w") as log:
        order = [sys.executable, __file__, "supervise", str(number), "array" if last else ""]
        subprocess.Popen(order, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    print(f"Submitted batch job {number}")


def supervise(number: str, array: str) -> None:
    waiting = sorted(home().glob(f"{number}_*.state"))
    running: dict[Path, subprocess.Popen[bytes]] = {}
    while waiting or running:
        while waiting and len(running) < AT_A_TIME:
            state = waiting.pop(0)
            state.write_text("RUNNING")
            running[state] = start(number, state.stem.split("_")[1], array)
        for state, process in list(running.items()):
            if process.poll() is not None:
                del running[state]
                if state.with_suffix(".requeue").exists():
                    state.with_suffix(".requeue").unlink()
                    waiting.append(state)
                elif state.read_text() == "RUNNING":
                    state.write_text("FAILED" if process.returncode else "COMPLETED")
        time.sleep(0.05)


def start(number: str, element: str, array: str) -> "subprocess.Popen[bytes]":
    elements = {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": element} if array else {}
    given = {"SLURM_JOB_ID": f"{number}{element}" if array else number, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
    given |= {"SLURM_CPUS_PER_TASK": "1", "FAKE_ELEMENT": f"{number}_{element}", **elements}
    return subprocess.Popen(["bash", str(home() / f"{number}.sh")], env={**os.environ, **given}, start_new_session=True)


def srun(*words: str) -> None:
    """Become the command, which writes where it is told, after what is there."""
    options, command = {}, list(words)
    while command[0].startswith("--"):
        name = command.pop(0)
        if name != "--unbuffered":
            options[name] = command.pop(0)
    element = os.environ["FAKE_ELEMENT"]
    for descriptor, name in ((1, "--output"), (2, "--error")):
        number, _, of = element.partition("_")
        job = element if "SLURM_ARRAY_JOB_ID" in os.environ else number
        path = options[name].replace("%A_%a", job).replace("%j", job).replace("%t", "0")
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), descriptor)
    (home() / f"{element}.pid").write_text(str(os.getpid()))
    os.execvp(command[0], command)


def squeue(*words: str) -> None:
    name = words[words.index("--name") + 1]
    for state in home().glob("*_*.state"):
        number = state.stem.split("_")[0]
        if state.read_text() in ("PENDING", "RUNNING") and _asked(number)["job-name"] == name:
            print(state.stem if "array" in _asked(number) else number)


def sacct(*words: str) -> None:
    print("JobID|State|NodeList")
    for number in [words[place + 1] for place, word in enumerate(words) if word == "-j"]:
        is_array = "array" in _asked(number)
        for state in home().glob(f"{number}_*.state"):
            print(f"{state.stem if is_array else number}|{state.read_text()}|node")


def scontrol(order: str, job: str) -> None:
    assert order == "requeue"
    (home() / f"{job if '_' in job else job + '_0'}.requeue").touch()


def scancel(*words: str) -> None:
    raise SystemExit(f"nothing here cancels: {words}")


def _asked(number: str) -> dict[str, str]:
    return json.loads((home() / f"{number}.json").read_text())


def preempt(state_folder: Path, element: str, number: int) -> None:
    """Send a signal to what srun started."""
    os.kill(int((state_folder / f"{element}.pid").read_text()), number)


def fail_node(state_folder: Path, element: str) -> None:
    """All processes of the element die at once, and Slurm does not start it again."""
    (state_folder / f"{element}.state").write_text("NODE_FAIL")
    process = int((state_folder / f"{element}.pid").read_text())
    with suppress(ProcessLookupError):
        os.killpg(os.getpgid(process), signal.SIGKILL)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
