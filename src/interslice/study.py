"""A study: a checked configuration with the datasets and methods that it names, and what follows from them."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from interslice.data.volumes import PROFILES
from interslice.methods.registry import ONE_FOR_ALL

PROFILE_LABELS = {
    "none": "no slice profile",
    "gaussian": "Gaussian slice profile",
    "slab": "slab slice profile",
}


@dataclass(frozen=True)
class Study:
    """A checked study: the configuration, the datasets and methods it names (settings complete), in its
    order.

    methods are compared with each other; ablations, variants of one of them, with their base alone. variants: (method,
    dataset) to the settings of either that differ for a dataset. left_out: optional methods whose program is not
    installed, with its name and how to install it.
    """

    config: dict[str, Any]
    datasets: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]
    ablations: dict[str, dict[str, Any]]
    variants: dict[tuple[str, str], dict[str, Any]]
    left_out: dict[str, str]

    def named(self, role: str) -> list[str]:
        """The study's methods of a role: control, baseline or trained."""
        return [name for name, settings in self.methods.items() if settings["role"] == role]

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        """(method, other): the pairs of `statistics.comparisons`, or every trained method with every baseline."""
        pairs = self.config["statistics"]["comparisons"]
        every = product(self.named("trained"), self.named("baseline"))
        return list(every) if pairs is None else [(method, other) for method, other in pairs]

    @property
    def primary(self) -> dict[str, Any] | None:
        """`statistics.primary`, None where it is null or the study lacks its methods or metric: a part of a study may."""
        declared = self.config["statistics"]["primary"]
        if declared is None or declared["metric"] not in self.config["evaluation"]["metrics"]:
            return None
        return declared if {declared["method"], declared["baseline"]} <= set(self.methods) else None

    @property
    def trainings(self) -> list[str]:
        """The compared methods that the study trains: those of role trained that bring no finished model."""
        return [name for name in self.named("trained") if not self.methods[name].get("checkpoint")]

    @property
    def shown_methods(self) -> list[str]:
        """The methods of panels and examples: those of `figures.panel_methods`, or all but the oracle."""
        asked_for = self.config["figures"]["panel_methods"]
        every = [name for name, settings in self.methods.items() if settings["method"] != "oracle"]
        return list(asked_for or every)

    def trains(self, method: str) -> bool:
        """Whether the study trains a method or variant."""
        settings = self.every_method[method]
        return settings["role"] == "trained" and not settings.get("checkpoint")

    @property
    def every_method(self) -> dict[str, dict[str, Any]]:
        """The settings of the compared methods and of the variants."""
        return {**self.methods, **self.ablations}

    def factors(self, dataset: str) -> list[int]:
        """The anisotropy factors K of a dataset: its own, or the study's."""
        return list(self.datasets[dataset]["factors"] or self.config["factors"])

    def origin(self, dataset: str) -> str:
        """The dataset whose subjects a dataset has: itself, or what it is a copy of."""
        base = self.datasets[dataset]["base"]
        return Path(base).stem if base else dataset

    def training_dataset(self, dataset: str) -> str:
        """The dataset whose train split makes the models that `dataset` is evaluated with."""
        return str(self.datasets[dataset]["trained_on"] or dataset)

    def training_factor(self, method: str, dataset: str, factor: int) -> int:
        """The K at which the model is trained that a method has on a dataset at `factor`."""
        if self.every_method[method]["method"] in ONE_FOR_ALL:
            return min(self.factors(self.training_dataset(dataset)))
        return factor

    def trained_datasets(self) -> list[str]:
        """The datasets that models are trained on, in the order of the study."""
        return [name for name in self.datasets if self.training_dataset(name) == name]

    def settings(self, method: str, dataset: str) -> dict[str, Any]:
        """The settings of a method on a dataset; a method that asks for the slice profile is told the dataset's."""
        settings = self.variants.get((method, self.training_dataset(dataset)), self.every_method[method])
        told = {"slice_profile": self.datasets[dataset]["slice_profile"]}
        return settings | told if settings.get("slice_profile") in PROFILES else settings

    @property
    def resolved(self) -> dict[str, Any]:
        """All that a report says of the study: `config`, `datasets`, `methods`, and in `variants` the settings of a method on
        a dataset, by method and dataset, where they differ from those in `methods`."""
        variants: dict[str, dict[str, Any]] = {}
        for (method, dataset), settings in self.variants.items():
            variants.setdefault(method, {})[dataset] = settings
        return {
            "config": self.config,
            "datasets": self.datasets,
            "methods": self.methods,
            "variants": variants,
        }

    @property
    def ablation_base(self) -> str:
        """The method that the variants of `ablation` start from and are compared with."""
        return Path(self.config["ablation"]["base"]).stem

    def ablation_places(self) -> list[tuple[str, int]]:
        """The pairs of dataset and K that variants run on; none where no variant runs."""
        ablation = self.config["ablation"]
        return [
            (dataset, factor)
            for dataset in self.datasets
            for factor in self.factors(dataset)
            if self.ablations
            and dataset in (ablation["datasets"] or self.datasets)
            and factor in (ablation["factors"] or [factor])
        ]

    def runs(self, method: str, dataset: str, factor: int) -> bool:
        """Whether a method or variant of the study runs on a dataset at K."""
        return method in self.methods or (
            method in self.ablations and (dataset, factor) in self.ablation_places()
        )

    @property
    def dataset_labels(self) -> dict[str, str]:
        """Dataset to its label in titles and captions, in the order of the study: a result is about slices of one profile."""
        return {name: f"{name}, {PROFILE_LABELS[of['slice_profile']]}" for name, of in self.datasets.items()}

    @property
    def labels(self) -> dict[str, str]:
        """Method or variant to the label of tables and figures, in the order of the study."""
        return {name: settings["label"] for name, settings in self.every_method.items()}
