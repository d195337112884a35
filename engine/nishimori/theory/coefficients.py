"""The linear model a deep network is equivalent to when samples grow in proportion to the input dimension.

    F(x)  ->  eta v.x / sqrt(d) + sqrt(gamma) xi,       v ~ N(0, I),  xi ~ N(0, 1) fresh for every sample

in mutual information and in generalization error (arXiv 2505.03577, Corollary 3 and Theorem 4).
"""

from dataclasses import dataclass

from nishimori.description import Network
from nishimori.theory.spectrum import ISOTROPIC


class OutsideTheTheorem(ValueError):
    """The network is not one for which the equivalent linear model is proved."""


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of the equivalent linear model.

    sigma: (sigma_0, ..., sigma_L), variances of the pre-activations entering layers 1..L and of the output.
    rho: (rho_1, ..., rho_L), linear gains of the layers.
    eta: gain of the equivalent linear model; its square is the learnable part of the output variance.
    gamma: variance of the equivalent noise; bias_variance + signal + gamma = sigma_L.
    bias_variance: variance of an output common to all inputs; 0 for an odd activation.
    spectrum: eigenvalues of the covariance of the inputs, divided by their mean sigma_0.
    """

    sigma: tuple[float, ...]
    rho: tuple[float, ...]
    eta: float
    gamma: float
    bias_variance: float = 0.0
    spectrum: tuple[float, ...] = ISOTROPIC

    @property
    def signal(self) -> float:
        """eta^2 sigma_0, the learnable part of the output variance."""
        return self.eta**2 * self.sigma[0]


def equivalent_linear_model(network: Network, input_variance: float = 1.0) -> Coefficients:
    """Coefficients of the linear equivalent of `network` (arXiv 2505.03577, Theorem 1, eqs. 16 and 108).

        sigma_0 = input_variance,   sigma_l = E phi(sqrt(sigma_{l-1}) Z)^2,   rho_l = E phi'(sqrt(sigma_{l-1}) Z)
        eps_l = sigma_l - sigma_{l-1} rho_l^2
        eta_L = 1, gamma_L = 0,   gamma_{l-1} = gamma_l + eta_l^2 eps_l,   eta_{l-1} = eta_l rho_l

    eta = eta_0 and gamma = gamma_0. They depend on the activation and the depth alone: the widths and the
    input dimension drop out of the limit. The theorem asks for an odd activation with bounded first and
    second derivatives; `sign` is odd but jumps: rho_l then comes from Stein's lemma and the equivalence rests
    on the replica conjecture of arXiv 2302.00375.

    Raises OutsideTheTheorem when a hidden layer has an activation that is not declared odd, or the readout is fixed.
    """
    phi = network.activation
    require_gaussian_readout(network)
    if network.depth > 0 and not phi.odd:
        raise OutsideTheTheorem(
            f"the equivalent linear model is proved for odd activations and {phi.name!r} is not declared odd "
            "(conjecture=True goes without proof): use tanh, erf or sin, or declare odd=True if the function is odd"
        )
    sigma, rho = [input_variance], []
    for _ in range(network.depth):
        rho.append(phi.mean_derivative(sigma[-1]))
        sigma.append(phi.second_moment(sigma[-1]))
    eta, gamma = 1.0, 0.0
    for layer in reversed(range(network.depth)):
        # Non-negative by Cauchy-Schwarz; round-off could say otherwise for a nearly linear activation.
        noise = max(0.0, sigma[layer + 1] - sigma[layer] * rho[layer] ** 2)
        gamma += eta**2 * noise
        eta *= rho[layer]
    return Coefficients(tuple(sigma), tuple(rho), eta, gamma)


def require_gaussian_readout(network: Network) -> None:
    """Raises OutsideTheTheorem when the readout is fixed."""
    if network.readout == "fixed":
        raise OutsideTheTheorem(
            "the equivalent linear model is proved for a Gaussian readout and this one is fixed: "
            "use readout='gaussian', or sample without a theory line"
        )
