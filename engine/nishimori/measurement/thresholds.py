"""Every threshold of the verdict, in one place, with the reason for its value.

Two kinds. Exact checks are statistical tests of statements that hold at every size: their level is a false-alarm rate,
shared among all checks of an experiment (Bonferroni), so that a right sampler fails one experiment in a thousand
however many points and checks it has. The others are quality limits: they say when error bars can be believed, and a
run that is long enough is far from them.
"""

FALSE_ALARM_RATE = 0.001
"""Of the exact checks of a whole experiment together; each is tested at this over their number."""

LARGEST_R_HAT = 1.05
"""Of the pooled R-hats. R-hat^2 - 1 is the between-chain variance of means in units of the posterior variance: 1.05 is
a tenth of it. At stationarity it is one over the effective size of a half chain, so some forty effective draws an
instance lie well below. 1.01 (Vehtari et al. 2021) is for one posterior; here many instances are averaged."""

SMALLEST_SAMPLE_SIZE = 100.0
"""Of pooled bulk and tail effective sample sizes: a Monte Carlo error of at most a tenth of the posterior deviation
(Vehtari et al. 2021, section 4, ask for as much to trust the estimate of the error itself)."""

LARGEST_MONTE_CARLO_RATIO = 0.25
"""Of Monte Carlo to disorder variance: longer chains would then shrink the error bar by less than 11 %."""

LARGEST_DIVERGENT_FRACTION = 0.001
"""Of measured transitions: that many lost trajectories move no average by more than its own error."""

DECAY_TIMES_OF_WARMUP = 5.0
"""Warm-up in decay times of the overlap with the teacher: exp(-5) < 1 % of the start remains."""

SHORTEST_CHAIN = 8
"""Draws below which split chains have no variance worth the name."""

AUTOCORRELATION_TIMES_OF_CHAIN = 50.0
"""Length of a chain, in its own autocorrelation times, from which the estimate of that time can be believed (Sokal
1997, section 3; emcee's default)."""
