"""`nishimori systems`: what can be run, and the papers it is of."""

import inspect
import json as json_module

from nishimori.cli.codes import DONE
from nishimori.systems import SYSTEMS


def systems(json: bool = False) -> int:
    """List the systems that an experiment file can name as [system] kind, with their papers.

    What each measures and what is known of it stands in README.md, "Neighbouring systems"; scripts/experiments has a
    file of each to start from.

    Args:
        json: print one JSON object on stdout.
    """
    told = {kind: {"papers": list(system.papers), "about": _about(system)} for kind, system in SYSTEMS.items()}
    if json:
        print(json_module.dumps(told))
    else:
        for kind, one in told.items():
            print(f"{kind}\n    {one['about']}\n    {', '.join(one['papers'])}")
    return DONE


def _about(system: object) -> str:
    return (inspect.getdoc(type(system)) or "").splitlines()[0]
