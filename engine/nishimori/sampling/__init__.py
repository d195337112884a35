"""`sample`: calibrate, warm up, measure; the `Run` it returns, and `load`, which reads one back from its directory;
`information`: the evidence between two bounds; `controlled_bayes_error`."""

from nishimori.sampling.controlled_error import controlled_bayes_error
from nishimori.sampling.information import information
from nishimori.sampling.load import load
from nishimori.sampling.run import Run
from nishimori.sampling.sample import CALIBRATION_CHAINS, calibration_of, sample

__all__ = ["CALIBRATION_CHAINS", "Run", "calibration_of", "controlled_bayes_error", "information", "load", "sample"]
