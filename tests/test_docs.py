"""The pages: links lead somewhere, lines and the README are short, every key is explained, Python blocks run."""

import re
import tomllib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import interslice
from interslice.common.schemas import read_yaml
from interslice.methods.registry import METHODS
from interslice.scoring.longtable import frame_means, write_scores
from settings import ROOT
from synthetic_scores import synthetic_scores

PAGES = sorted(
    [
        *(
            ROOT / name
            for name in ("README.md", "CONTRIBUTING.md", "config/README.md", "resources/README.md")
        ),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Files of the repository that other files name as a place to read on.
CITED = re.compile(r"(?<![\w/.])(?:docs|config|src)/[a-z_\d./-]+\.(?:md|yaml|csv|png|svg)")


def names_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_links_lead_to_a_file_and_a_heading(page):
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{names_of(page)}: {link}"
        assert target.is_relative_to(ROOT), f"{names_of(page)}: {link}"
        assert not anchor or anchor in anchors(target), f"{names_of(page)}: {link}"


def test_every_page_is_reached_from_the_map():
    """From docs/index.md by links alone, but for the pages that it is there for."""
    seen, queue = set(), [ROOT / "docs" / "index.md"]
    while queue:
        page = queue.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]
        queue += [(page.parent / link).resolve() for link in links if link]
    assert {names_of(page) for page in PAGES} - {names_of(page) for page in seen} <= {"resources/README.md"}


def test_comments_and_messages_name_pages_that_exist():
    files = [
        path
        for folder in ("src", "workflow", "benchmarks", "config", "profiles", "envs")
        for path in (ROOT / folder).rglob("*")
    ]
    for path in [*files, ROOT / "Makefile", ROOT / "CHANGELOG.md"]:
        if path.suffix in {".py", ".smk", ".yaml", ".rst", ".j2", ".md", ".in", ""} and path.is_file():
            for cited in CITED.findall(path.read_text()):
                assert (ROOT / cited).exists(), f"{names_of(path)}: {cited}"


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_lines_are_short(page):
    long = {
        number: len(line) for number, line in enumerate(page.read_text().splitlines(), 1) if len(line) >= 120
    }
    assert not long, f"line: characters {long}"


def commands(page: Path, program: str) -> list[list[str]]:
    """The words after a program's name, of every command in a fence or in code within a line; the comment cut off."""
    text = page.read_text().replace("\\\n", " ")
    lines = [line for fence in FENCE.findall(text) for line in fence.splitlines()]
    lines += re.findall(r"`([^`]+)`", FENCE.sub("", text).replace("\n", " "))
    found = [re.split(rf"(?<![\w-]){program} ", line.partition(" #")[0])[1:] for line in lines]
    return [re.split(r"\s+", words.strip()) for line in found for words in line if words.strip()]


def test_commands_name_rules_targets_and_studies_that_exist():
    """snakemake's targets, rules of --set-resources, files of --configfile and keys of --config; targets of make."""
    code = "\n".join(
        path.read_text()
        for path in (ROOT / "workflow").rglob("*")
        if path.suffix in {".smk", ""} and path.is_file()
    )
    rules = set(re.findall(r"^ *rule (\w+):", code, re.MULTILINE)) | set(re.findall(r'name: "(\w+)"', code))
    keys = set(read_yaml(ROOT / "workflow" / "schemas" / "config.schema.yaml")["properties"])
    counted = 0
    for page in PAGES:
        for words in commands(page, "snakemake"):
            option = ""
            for word in words:
                counted += 1
                if word.startswith("-"):
                    option = word
                elif option == "--configfile":
                    assert (ROOT / word).is_file() or word.startswith("mine/"), f"{names_of(page)}: {word}"
                    option = ""
                elif option == "--config":
                    assert word.strip("'\"").partition("=")[0] in keys, f"{names_of(page)}: {word}"
                elif option in ("--set-resources", "--groups"):
                    assert re.split("[:=]", word)[0] in rules, f"{names_of(page)}: {word}"
                elif not option:
                    assert word in rules or word.startswith("results/"), f"{names_of(page)}: {word}"
        targets = set(re.findall(r"^([\w./$()-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) | {
            ".venv/.synced"
        }
        for words in commands(page, "make"):
            assert words[0] in targets, f"{names_of(page)}: make {words[0]}"
    assert counted > 100


def test_the_readme_has_at_most_a_thousand_words():
    assert 300 < len((ROOT / "README.md").read_text().split()) <= 1000


def keys_of(schema: object) -> set[str]:
    """The names of all properties of a schema, at any depth."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema))
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own.union(*map(keys_of, schema.values()))


@pytest.mark.parametrize("name", ["config", "dataset", "method"])
def test_every_key_of_the_schemas_is_explained(name):
    schema = read_yaml(ROOT / "workflow" / "schemas" / f"{name}.schema.yaml")
    words = set(
        re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", (ROOT / "config" / "README.md").read_text())))
    )
    keys = keys_of(schema)
    assert len(keys) > 20
    assert keys - words == set()


def test_no_key_is_explained_that_the_schemas_do_not_have():
    names = ("config", "dataset", "method")
    keys = set().union(
        *(keys_of(read_yaml(ROOT / "workflow" / "schemas" / f"{name}.schema.yaml")) for name in names)
    )
    heads = re.findall(
        r"^- ((?:`[\w.]+`(?:, | / )?)+)[ :]", (ROOT / "config" / "README.md").read_text(), re.MULTILINE
    )
    explained = {
        part for head in heads for name in re.findall(r"`([\w.]+)`", head) for part in name.split(".") if part
    }
    assert len(explained) > 80
    assert explained - keys - {"FILE"} - set(METHODS) == set()


def test_the_python_page_runs(tmp_path, monkeypatch):
    """Its blocks one after the other, in a folder with a scan, the methods' settings and the scores of a study."""
    scan = np.random.default_rng(0).integers(0, 1000, (20, 18, 7), dtype=np.int16)
    nib.save(nib.Nifti1Image(scan, np.diag([1.0, 1.0, 4.0, 1.0])), tmp_path / "scan.nii.gz")
    (tmp_path / "results" / "default").mkdir(parents=True)
    results = tmp_path / "results" / "default"
    write_scores(synthetic_scores(), results / "score_method" / "t1" / "0.parquet")
    frame_means(synthetic_scores()).to_parquet(results / "means.parquet", index=False)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL):
        exec(block, names)
    assert nib.load(tmp_path / "fine.nii.gz").shape == names["voxels"].shape == (20, 18, 31)
    assert names["fine_volume"].shape == (17, 32, 32)
    assert {"value", "slices", "nonfinite", "seed_sd"} <= set(names["subjects"].columns)
    assert set(names["scores"]["metric"]) == {"psnr"}


def test_the_python_page_explains_every_column(tmp_path):
    from interslice.scoring.longtable import COLUMNS, MEANS, subject_means

    section = (ROOT / "docs" / "python.md").read_text().split("## The scores")[1]
    rows = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert rows == set(COLUMNS) | set(MEANS) | set(subject_means(frame_means(synthetic_scores())).columns)


def test_the_citation_is_of_this_version():
    """Version as in pyproject.toml; a date only once the changelog's newest section is a dated release, and then that one."""
    citation = read_yaml(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dynamic"] == ["version"], "which is that of the package, and stands there alone"
    assert citation["version"] == interslice.__version__
    newest = re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    dated = re.search(r"\d{4}-\d\d-\d\d", newest[1])
    assert str(citation.get("date-released")) == (dated[0] if dated else "None")
