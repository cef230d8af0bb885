from copy import deepcopy

import pytest
import yaml

from interslice.common.errors import InputError
from interslice.config import load_study, refuse_silent_overrides
from interslice.data.splits import declared_splits
from settings import ROOT, study_of


def default_config():
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def changed(path, value):
    """The default configuration with one key set; "a.b" goes into a mapping, a value of None removes the key."""
    config = default_config()
    place = config
    *parents, last = path.split(".")
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return config


def test_the_default_study_resolves():
    study = load_study(default_config(), ROOT)
    assert study.named("control") == ["oracle", "nearest"]
    assert study.named("baseline") == ["linear", "bspline", "lanczos", "registration"]
    finished = ["cae_residual_pretrained", "motion_spline_pretrained"]
    assert study.named("trained") == ["cae", *finished]
    assert study.trainings == ["cae"]
    cae, without = study.methods["cae"], study_of(methods=["cae_mse"]).methods["cae_mse"]
    assert cae["synthesis"]["lpips"] == 0.001
    assert without["synthesis"]["lpips"] == 0
    differing = {key for key in cae if cae[key] != without[key]}
    assert differing == {"label", "synthesis"}, "the ablation may differ in nothing but the synthesis loss"
    splits = study.datasets["t1"]["splits"]
    assert {len(splits[name]) for name in splits} == {1, 2, 7}


def test_the_default_study_asks_about_thick_slices_first_and_trains_once_for_both_profiles():
    study = load_study(default_config(), ROOT)
    assert study.dataset_labels == {
        "t1_gaussian": "t1_gaussian, Gaussian slice profile",
        "t1": "t1, no slice profile",
    }
    assert study.trained_datasets() == ["t1_gaussian"]
    alone = load_study(default_config() | {"datasets": ["t1"]}, ROOT)
    assert alone.trained_datasets() == ["t1"], "a study of one of them trains on it"


def test_a_method_that_asks_for_the_slice_profile_is_told_the_datasets():
    study = study_of(methods=["linear", "total_variation"])
    told = {name: study.settings("total_variation", name)["slice_profile"] for name in study.datasets}
    assert told == {"t1_gaussian": "gaussian", "t1": "none"}
    assert "slice_profile" not in study.settings("linear", "t1")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "fcators",
            [2],
            r"config: found the unknown key 'fcators', allowed are study, resources, datasets, trained_on",
        ),
        (
            "evaluation.gapstep",
            2,
            r"config: key evaluation: found the unknown key 'gapstep', allowed are metrics, gap_step",
        ),
        ("factors", "2", r"config: key factors: found '2', allowed is a list"),
        ("factors", [2.5], r"config: key factors\[0\]: found 2.5, allowed is a whole number"),
        ("factors", [2, 1], r"config: key factors\[1\]: found 1, allowed are numbers from 2"),
        ("factors", [], r"config: key factors: found \[\], allowed are at least 1 entries"),
        ("factors", [2, 2], r"config: key factors: found \[2, 2\], allowed is a list without repeats"),
        ("factors", None, r"config: the key 'factors' is missing, required are study"),
        ("seeds", [0], r"config: key seeds\[0\]: found 0, allowed are numbers from 1"),
        (
            "evaluation.metrics",
            ["ssmi"],
            r"config: key evaluation.metrics\[0\]: found 'ssmi', allowed are ssim, psnr",
        ),
        (
            "evaluation.lpips",
            "resnet",
            r"config: key evaluation.lpips: found 'resnet', allowed are alex, vgg",
        ),
        (
            "statistics.confidence",
            1.5,
            r"config: key statistics.confidence: found 1.5, allowed are numbers below 1",
        ),
        ("study", "a/b", r"config: key study: found 'a/b', allowed is text of the form"),
        (
            "methods",
            ["linear", "magic"],
            r"config: key methods: found 'magic', allowed are acai, acai_synthesis, bspline, cae",
        ),
        ("datasets", ["acdc9"], r"config: key datasets: found 'acdc9', allowed are .*t1"),
        (
            "training",
            {"learning_rate": "1e-4"},
            r"found '1e-4', allowed is a number \(YAML reads 1e-4 as text: write 1.0e-4\)",
        ),
        (
            "training",
            {"lr": 0.1},
            r"method cae \(config/methods/cae.yaml\): key training: found the unknown key 'lr', allowed are steps",
        ),
        ("training", {"crop": 66}, r"key training.crop: found 66"),
    ],
)
def test_a_bad_configuration_is_one_sentence(path, value, message):
    with pytest.raises(InputError, match=message) as raised:
        load_study(changed(path, value), ROOT)
    assert "\n" not in str(raised.value)


def dataset_file(tmp_path, **changes):
    dataset = yaml.safe_load((ROOT / "config" / "datasets" / "t1.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(deepcopy(dataset) | changes))
    return str(path)


def test_a_subject_in_two_splits_is_refused(tmp_path):
    splits = {"train": ["CSI1", "CSI2"], "validation": ["DS240"], "test": ["CSI3", "CSI1"]}
    config = default_config() | {"datasets": [dataset_file(tmp_path, splits=splits)]}
    with pytest.raises(
        InputError, match=r"key splits: subject CSI1 is in train and in test, allowed is one split"
    ):
        load_study(config, ROOT)


def test_a_dataset_with_an_unknown_key_is_refused(tmp_path):
    config = default_config() | {"datasets": [dataset_file(tmp_path, colour="red")]}
    with pytest.raises(InputError, match=r"found the unknown key 'colour', allowed are name, title"):
        load_study(config, ROOT)


def method_file(tmp_path, content):
    path = tmp_path / "variant.yaml"
    path.write_text(yaml.safe_dump(content))
    return default_config() | {"methods": ["linear", str(path)]}


def test_a_variant_overrides_named_keys_of_its_base(tmp_path):
    content = {"base": "cae", "label": "Wide", "network": {"latent": 16}, "synthesis": {"lpips": 0.1}}
    settings = load_study(method_file(tmp_path, content), ROOT).methods["variant"]
    base = load_study(default_config(), ROOT).methods["cae"]
    assert settings["network"] == base["network"] | {"latent": 16}
    assert settings["synthesis"] == base["synthesis"] | {"lpips": 0.1}
    assert settings["training"] == base["training"]


def test_a_variant_with_a_key_that_its_base_lacks_is_refused(tmp_path):
    content = {"base": "cae", "network": {"latents": 16}}
    with pytest.raises(InputError, match=r"found key network.latents, allowed are the base's: depth, scales"):
        load_study(method_file(tmp_path, content), ROOT)
    with pytest.raises(
        InputError, match=r"method variant \(.*variant.yaml\): key method: found 'magic', allowed are oracle"
    ):
        load_study(method_file(tmp_path, {"method": "magic", "label": "x", "role": "trained"}), ROOT)


def test_a_file_that_is_not_yaml_is_refused(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(InputError, match=r"broken.yaml: not readable as YAML"):
        load_study(default_config() | {"datasets": [str(tmp_path / "broken.yaml")]}, ROOT)


def test_every_file_in_config_is_valid():
    """Files that the default study does not use must not rot."""
    names = {
        kind: sorted(file.stem for file in (ROOT / "config" / kind).glob("*.yaml"))
        for kind in ("datasets", "methods")
    }
    with_gpu = {"gpus": {"train": 1, "evaluate": 1}}  # of a method that asks for one
    with_gpu["trained_on"] = {"t2": "t1"}  # which has test subjects alone
    study = load_study(default_config() | with_gpu | {"methods": names["methods"]}, ROOT)
    # Programs of others that are not installed are left out, and said so.
    assert sorted([*study.methods, *study.left_out]) == names["methods"]
    # Finished models are there for the factors of t1 only.
    names["methods"] = [name for name, settings in study.methods.items() if not settings.get("checkpoint")]
    assert list(load_study(default_config() | with_gpu | names, ROOT).datasets) == names["datasets"]


@pytest.mark.parametrize(
    "splits", [{"test": ["CSI3", "JHU"]}, {"test": "rest"}, {"test": 2, "order": "sorted"}]
)
def test_a_dataset_of_test_subjects_alone_is_for_finished_models(tmp_path, splits):
    alone = {"datasets": [dataset_file(tmp_path, splits=splits)]}
    study = load_study(default_config() | alone | {"methods": ["linear", "cae_pretrained"]}, ROOT)
    assert declared_splits(study.datasets["t1"]) == ["test"]
    with pytest.raises(
        InputError,
        match=r"dataset t1: key splits.train: found no subject, at least 1 is needed to train cae; ",
    ):
        load_study(default_config() | alone, ROOT)


def test_what_a_study_trains_on_has_validation_subjects_too(tmp_path):
    listed = tmp_path / "splits.csv"
    listed.write_text("subject,split\nCSI1,train\nCSI3,test\n")
    for splits in ({"train": ["CSI1"], "test": ["CSI3"]}, {"file": str(listed)}):
        config = default_config() | {"datasets": [dataset_file(tmp_path, splits=splits)]}
        with pytest.raises(InputError, match=r"dataset t1: key splits.validation: found no subject"):
            load_study(config, ROOT)


@pytest.mark.parametrize("splits", [{"train": ["CSI1"], "validation": ["DS240"]}, {"train": 2, "test": 0}])
def test_a_dataset_without_a_test_subject_is_refused(tmp_path, splits):
    config = default_config() | {"datasets": [dataset_file(tmp_path, splits=splits)], "methods": ["linear"]}
    with pytest.raises(
        InputError, match=r"mine.yaml: key splits.test: found no subject, at least 1 is needed"
    ):
        load_study(config, ROOT)


def test_panels_show_every_method_but_the_oracle_unless_told_otherwise():
    study = load_study(default_config(), ROOT)
    assert study.shown_methods == [name for name in study.methods if name != "oracle"]
    told = load_study(default_config() | {"figures": {"panel_methods": ["cae", "linear", "vae"]}}, ROOT)
    assert told.shown_methods == ["cae", "linear", "vae"], "the workflow leaves out what does not run"


@pytest.mark.parametrize(
    "overrides", [{"datasets": ["cine"]}, {"resources": "/data", "factors": [2]}, {"training": {}}]
)
def test_a_key_of_the_command_line_needs_a_name_for_its_results(overrides):
    study = load_study(default_config(), ROOT)
    with pytest.raises(
        InputError,
        match=r"changed on the command line, .* the results of study default; add study=NAME to --config",
    ):
        refuse_silent_overrides(overrides, study)
    refuse_silent_overrides(overrides | {"study": "mine"}, study)


def test_keys_that_change_no_result_need_none():
    machine = {
        "resources": "/data",
        "threads": {"train": 8},
        "memory_mb": {},
        "minutes": {},
        "gpus": {"train": 0},
    }
    refuse_silent_overrides(machine, load_study(default_config(), ROOT))


def test_a_method_on_a_gpu_needs_evaluations_with_one(tmp_path):
    content = yaml.safe_load((ROOT / "config/methods/eclare.yaml").read_text()) | {
        "command": "true {input} {output}",
        "gpu": True,
    }
    config = method_file(tmp_path, content)
    with pytest.raises(InputError, match=r"method variant: key gpu: found true, .* set gpus.evaluate to 1"):
        load_study(config, ROOT)
    load_study(config | {"gpus": {"train": 1, "evaluate": 1}}, ROOT)


def paper_study(**changes):
    return study_of("paper.yaml", **changes)


def test_the_paper_has_its_own_factors_per_dataset():
    study = paper_study()
    assert {name: study.factors(name) for name in study.datasets} == {
        "acdc": [2],
        "sunnybrook": [2],
        "dhcp": [2, 3, 4, 5, 6],
        "oasis": [2, 3, 4, 5, 6],
    }
    profiles = {name: settings["slice_profile"] for name, settings in study.datasets.items()}
    assert profiles == {"acdc": "none", "sunnybrook": "none", "dhcp": "gaussian", "oasis": "gaussian"}
    assert load_study(default_config(), ROOT).factors("t1") == default_config()["factors"]


def test_released_settings_differ_by_dataset():
    """The settings of the released code; Sunnybrook is evaluated with the models of ACDC."""
    study = paper_study()
    found = {}
    for name in study.datasets:
        settings = study.settings("cae_paper", name)
        found[name] = (
            settings["training"]["crop"],
            settings["training"]["batch"],
            settings["synthesis"]["lpips"],
        )
    assert found == {
        "acdc": (128, 12, 0.05),
        "sunnybrook": (128, 12, 0.05),
        "dhcp": (256, 8, 0.001),
        "oasis": (64, 16, 0.001),
    }
    for name in study.datasets:
        full, ablation = study.settings("cae_paper", name), study.settings("cae_paper_mse", name)
        assert ablation["synthesis"]["lpips"] == 0, "an ablation stays one on every dataset"
        assert {key for key in full if full[key] != ablation[key]} == {"label", "synthesis"}
        assert full["training"]["device"] == "cuda", "the study's own training keys hold for every dataset"


def test_models_are_borrowed_from_a_dataset_of_the_study():
    study = paper_study()
    assert study.training_dataset("sunnybrook") == "acdc"
    assert study.training_dataset("oasis") == "oasis"
    assert study.trained_datasets() == ["acdc", "dhcp", "oasis"]
    with pytest.raises(
        InputError, match=r"dataset sunnybrook: key trained_on: found 'acdc', allowed are .*: dhcp"
    ):
        paper_study(datasets=["sunnybrook", "dhcp"])
    untrained = paper_study(datasets=["sunnybrook"], methods=["linear", "bspline"])
    assert list(untrained.datasets) == ["sunnybrook"], "without a trained method there is nothing to borrow"


def test_borrowed_models_need_the_same_factor(tmp_path):
    dataset = yaml.safe_load((ROOT / "config" / "datasets" / "sunnybrook.yaml").read_text())
    (tmp_path / "sunnybrook.yaml").write_text(yaml.safe_dump(dataset | {"factors": [2, 4]}))
    with pytest.raises(
        InputError, match=r"dataset sunnybrook: key factors: found K = 4, allowed are those of acdc"
    ):
        paper_study(datasets=["acdc", str(tmp_path / "sunnybrook.yaml")])


def test_a_setting_for_a_dataset_is_checked_like_any_other(tmp_path):
    content = {"base": "cae", "label": "x", "datasets": {"t1": {"training": {"crops": 64}}}}
    with pytest.raises(
        InputError, match=r"found key datasets.t1.training.crops, allowed are the base's: steps"
    ):
        load_study(method_file(tmp_path, content), ROOT)
    content["datasets"] = {"t1": {"training": {"crop": 66}}}
    with pytest.raises(InputError, match=r"variant.yaml\), dataset t1: key training.crop: found 66"):
        load_study(method_file(tmp_path, content), ROOT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "folder", "folder": None}, r"the key 'folder' is missing, source folder needs folder"),
        ({"source": "acdc9"}, r"key source: found 'acdc9', allowed are packages, folder, metaimage, acdc"),
        ({"archives": {"a.rar": {"urls": [], "size": None, "sha256": None}}}, r"key archives: found 'a.rar'"),
        ({"on_bad_case": "ignore"}, r"key on_bad_case: found 'ignore', allowed are stop, leave_out"),
        ({"in_plane_mm": 0}, r"key in_plane_mm: found 0, allowed are numbers above 0"),
        (
            {"folder": "x", "archives": {"a.zip": {"urls": [], "size": None, "sha256": None}}},
            r"found the keys folder and archives, allowed is one",
        ),
    ],
)
def test_bad_datasets_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        load_study(default_config() | {"datasets": [dataset_file(tmp_path, **changes)]}, ROOT)
