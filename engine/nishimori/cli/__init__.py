"""The command line: `nishimori run | resume | status | audit | plan | export | overlay | systems | theory | selftest`.
Parses, calls the layers below, turns refusals into exit codes."""

import os
import sys
from collections.abc import Sequence

from nishimori.cli.codes import WRONG_INPUT
from nishimori.description.errors import BadInput
from nishimori.description.shortage import is_shortage, sentence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    import tyro

    from nishimori.chains.files import DirectoryBusy, StorageFailed
    from nishimori.cli.audit import audit
    from nishimori.cli.export import export
    from nishimori.cli.overlay import overlay
    from nishimori.cli.plan import plan
    from nishimori.cli.resume import resume
    from nishimori.cli.run import run
    from nishimori.cli.selftest import selftest
    from nishimori.cli.status import status
    from nishimori.cli.systems import systems
    from nishimori.cli.theory import theory

    commands = {
        "run": run,
        "resume": resume,
        "status": status,
        "audit": audit,
        "plan": plan,
        "export": export,
        "overlay": overlay,
        "systems": systems,
        "theory": theory,
        "selftest": selftest,
    }
    # Read when torch loads its OpenMP. Threads that spin long while they wait cost a factor of seven on shared cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        return tyro.extras.subcommand_cli_from_dict(
            commands,
            args=list(sys.argv[1:] if argv is None else argv),
            prog="nishimori",
            description="Sample deep Bayesian networks trained on matched teachers; lay theory over the measurements.",
            config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    except (BadInput, DirectoryBusy, StorageFailed) as refusal:
        print(f"nishimori: {refusal}", file=sys.stderr)
        return WRONG_INPUT
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not is_shortage(error):
            raise
        print(f"nishimori: {sentence(error)}", file=sys.stderr)
        return WRONG_INPUT
