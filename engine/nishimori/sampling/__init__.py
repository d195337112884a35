"""`sample`: calibrate, warm up, measure; the `Run` it returns, and `load`, which reads one back from its directory;
`information`: the evidence between two bounds; `controlled_errors`."""

from nishimori.sampling.controlled import controlled_errors
from nishimori.sampling.information import information
from nishimori.sampling.load import load
from nishimori.sampling.run import Run
from nishimori.sampling.sample import CALIBRATION_CHAINS, calibration_of, sample

__all__ = ["CALIBRATION_CHAINS", "Run", "calibration_of", "controlled_errors", "information", "load", "sample"]
