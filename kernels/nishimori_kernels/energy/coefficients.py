"""Coefficients of exp, tanh, erf and log erfc as polynomials, the highest power first; see `elementary.py`.

Minimax fits of the relative error by Lawson's iteratively reweighted least squares in float64, rounded to float32; the
errors of the fits are below 0.1 of half a unit in the last place.
"""

EXP = (0.0013814599951729178, 0.008368715643882751, 0.04166838899254799, 0.1666652113199234, 0.4999999403953552)
TANH = (-0.005704978480935097, 0.020639078691601753, -0.05373971164226532, 0.13331441581249237, -0.3333328068256378)
ERF = (
    8.513102511642501e-05,
    -0.0008175639086402953,
    0.005203858949244022,
    -0.02686050906777382,
    0.11283715069293976,
    -0.37612634897232056,
    0.12837916612625122,
)
LOG_ERFC = (
    0.00019822070316877216,
    -0.003065499709919095,
    0.02231524884700775,
    -0.10411374270915985,
    -0.6369760036468506,
    -1.127797245979309,
    -0.0001664390874793753,
)

HALF_GAIN, NONLINEAR_SCALE = 0.3647387657430601, 3.1140144183040857
"""E sech(2Z)^2 and 1 / sqrt(E tanh(2Z)^2 - 4 (E sech(2Z)^2)^2), Z ~ N(0, 1), rounded from 40 digits of a quadrature by
mpmath: tanh2_nonlinear is NONLINEAR_SCALE (tanh(u) - HALF_GAIN u) at u = 2z."""
