"""The exactness suite: all laws, in the order in which they are checked."""

from collections.abc import Sequence

from nishimori.description.errors import BadInput
from nishimori.exactness.bias import bias_laws
from nishimori.exactness.decisions import decision_laws
from nishimori.exactness.energy_errors import energy_error_laws
from nishimori.exactness.geweke import joint_laws
from nishimori.exactness.gradients import gradient_laws
from nishimori.exactness.laws import Law
from nishimori.exactness.modules import module_laws
from nishimori.exactness.normals import normal_laws
from nishimori.exactness.ranks import rank_laws
from nishimori.exactness.readouts import readout_laws
from nishimori.exactness.recording import recording_laws
from nishimori.exactness.sampled import moment_laws
from nishimori.exactness.support import support_laws


def suite() -> tuple[Law, ...]:
    """What every law stands on comes first: random numbers, forces, Metropolis tests."""
    return (
        *normal_laws(),
        *gradient_laws(),
        *decision_laws(),
        *energy_error_laws(),
        *moment_laws(),
        *module_laws(),
        *support_laws(),
        *readout_laws(),
        *recording_laws(),
        *joint_laws(),
        *rank_laws(),
        *bias_laws(),
    )


def chosen(names: Sequence[str]) -> tuple[Law, ...]:
    """The laws of these names, in the order of the suite; all of them where none is named.

    Raises BadInput for a name that no law has.
    """
    laws = suite()
    known = [law.name for law in laws]
    for name in names:
        if name not in known:
            raise BadInput(f"--only {name}: there is no law of this name; see nishimori selftest --list")
    return tuple(law for law in laws if not names or law.name in names)
