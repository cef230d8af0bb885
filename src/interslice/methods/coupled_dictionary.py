"""Coupled dictionary learning, after Bhatia et al., ISBI 2014.

Two dictionaries are learned together, one of degraded patches and one of the detail that they lack, so that one sparse code
serves both. A patch is coded in the first and its detail read off the second. As there, the high-resolution example is
another view of the same anatomy: the scan's own in-plane slices, so nothing has to be aligned and no other scan is needed.

Learned by scikit-learn's mini-batch dictionary learning (Mairal, Bach, Ponce and Sapiro 2009) with an L1 penalty; codes of
a scan are found by orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993), for all patches at once.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.exceptions import ConvergenceWarning

from interslice.methods.parts.patches import FLAT, PatchRestorer, draw_patches, principal_basis
from interslice.methods.parts.self_supervised import Restore, SelfSupervised, unchanged

EPOCHS = 3  # over the patches that are learned from
PATCHES_AT_ONCE = 32_768  # bounds the memory of coding


class CoupledDictionaries(PatchRestorer):
    """atoms: (atoms, components), of unit length. details: (atoms, pixels). A code has `nonzeros` entries."""

    def __init__(
        self, patch: int, basis: np.ndarray, atoms: np.ndarray, details: np.ndarray, nonzeros: int
    ) -> None:
        super().__init__(patch, basis)
        self.atoms, self.details, self.nonzeros = atoms, details, nonzeros

    def predict(self, reduced: np.ndarray) -> np.ndarray:
        """The code of the features, decoded in the other dictionary."""
        result = np.empty((len(reduced), self.details.shape[1]), dtype=np.float32)
        for start in range(0, len(reduced), PATCHES_AT_ONCE):
            part = slice(start, start + PATCHES_AT_ONCE)
            chosen, values = matching_pursuit(reduced[part], self.atoms, self.nonzeros)
            result[part] = np.einsum("na,nap->np", values, self.details[chosen])
        return result


class CoupledDictionary(SelfSupervised):
    """Settings besides those of SelfSupervised: patch, samples, components, atoms, nonzeros, penalty."""

    def learn(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Restore]:
        return [self.dictionaries(*pair) for pair in pairs]

    def dictionaries(self, degraded: np.ndarray, sharp: np.ndarray) -> Restore:
        """Learn from random patches of the pairs; without any structure nothing is added."""
        settings = self.settings
        patch, seed = settings["patch"], settings["seed"]
        features, details = draw_patches(degraded, sharp, patch, settings["samples"], seed)
        if len(features) < settings["atoms"]:
            return unchanged
        basis = principal_basis(features, settings["components"])
        reduced = features @ basis
        # A patch of unit length and its detail on the same scale; both halves weigh alike in the joint error.
        lengths = np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), FLAT)
        known, missing = reduced / lengths, details / lengths
        balance = np.sqrt((missing**2).sum(axis=1).mean())
        if balance < FLAT:
            return unchanged
        joint = np.hstack([known, missing / balance])
        learning = MiniBatchDictionaryLearning(
            settings["atoms"],
            alpha=settings["penalty"],
            max_iter=EPOCHS,
            batch_size=512,
            max_no_improvement=None,
            fit_algorithm="cd",
            random_state=seed,
        )
        with warnings.catch_warnings():
            # Codes that are nearly minimal will do while the dictionaries still change.
            warnings.simplefilter("ignore", ConvergenceWarning)
            both = learning.fit(joint.astype(np.float64)).components_.astype(np.float32)
        atoms, paired = both[:, : basis.shape[1]], balance * both[:, basis.shape[1] :]
        sizes = np.linalg.norm(atoms, axis=1, keepdims=True)
        # An atom without a degraded half is never coded with; its division must not matter.
        sizes = np.where(sizes < FLAT, np.float32(np.inf), sizes)
        return CoupledDictionaries(patch, basis, atoms / sizes, paired / sizes, settings["nonzeros"]).restore


def matching_pursuit(signals: np.ndarray, atoms: np.ndarray, nonzeros: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthogonal matching pursuit of many signals (n, size) in unit atoms (atoms, size).

    Returns the chosen atoms and their coefficients, both (n, nonzeros). An atom is taken that correlates most with what
    is left; then all coefficients are fitted anew. A signal that is fitted already takes any atom with a coefficient of 0.
    """
    correlations = signals @ atoms.T
    gram = atoms @ atoms.T
    left = correlations.copy()
    chosen = np.empty((len(signals), 0), dtype=np.intp)
    values = np.empty((len(signals), 0), dtype=np.float32)
    every = np.arange(len(signals))[:, np.newaxis]
    for count in range(1, nonzeros + 1):
        sizes = np.abs(left)
        sizes[every, chosen] = -1  # no atom twice
        chosen = np.hstack([chosen, sizes.argmax(axis=1)[:, np.newaxis]])
        among = gram[chosen[:, :, np.newaxis], chosen[:, np.newaxis, :]]
        ridge = np.eye(count, dtype=np.float32) * 1e-6  # two atoms may be the same
        wanted = correlations[every, chosen]
        values = np.linalg.solve(among + ridge, wanted[:, :, np.newaxis])[:, :, 0]
        left = correlations - np.einsum("na,nak->nk", values, gram[chosen])
    return chosen, values


CLASSES = {"coupled_dictionary": CoupledDictionary}
