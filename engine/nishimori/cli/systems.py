"""`nishimori systems`: what can be run, and the papers it is of."""

import inspect
import json as json_module

from nishimori.cli.codes import DONE
from nishimori.comparison.tables import table
from nishimori.systems import SYSTEMS


def systems(json: bool = False) -> int:
    """List the systems that an experiment file can name as [system] kind, with their papers.

    Args:
        json: print one JSON object on stdout.
    """
    told = {kind: {"papers": list(system.papers), "about": _about(system)} for kind, system in SYSTEMS.items()}
    if json:
        print(json_module.dumps(told))
    else:
        rows = [[kind, ", ".join(one["papers"]), one["about"]] for kind, one in told.items()]
        print(table(["kind", "papers", "what it is"], rows))
    return DONE


def _about(system: object) -> str:
    return (inspect.getdoc(type(system)) or "").splitlines()[0]
