"""Every example in the documentation runs and prints what it says; every test it names exists."""

import doctest
import importlib
import pkgutil
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torchconv

MODULES = [
    module.name
    for module in pkgutil.walk_packages(torchconv.__path__, "torchconv.")
    if not module.name.rpartition(".")[2].startswith("_")
]
ROOT = Path(__file__).parents[1]
PAGES = [page for folder in (".", "csrc", "docs") for page in sorted((ROOT / folder).glob("*.md"))]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    names = {"torch": torch, "torchconv": torchconv}
    result = doctest.testmod(importlib.import_module(name), extraglobs=names)
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages(page):
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def test_every_public_function_has_an_example():
    for name in torchconv.functional.__all__:
        assert ">>>" in getattr(torchconv, name).__doc__
    for name in torchconv.nn.__all__:
        assert ">>>" in getattr(torchconv.nn, name).__doc__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s#]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_pages_name_the_supported_versions():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    first, last = re.search(r'"torch>=(2\.\d+),<2\.(\d+)"', project).groups()
    torches = f"torch {first} to 2.{int(last) - 1}"
    pythons = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    assert f'requires-python = ">={pythons[0]}"' in project
    for page, texts in {
        "README.md": [torches, f"Python {pythons[0]} to {pythons[-1]}"],
        "CONTRIBUTING.md": [f"Python {pythons[0]} to {pythons[-1]}"],
        "CHANGELOG.md": [torches.replace("torch ", "")],
    }.items():
        for text in texts:
            assert text in (ROOT / page).read_text(encoding="utf-8"), (page, text)


def test_tables_of_what_works_are_written_anew():
    """`python docs/what_works.py` writes them."""
    module = runpy.run_path(str(ROOT / "docs" / "what_works.py"))
    assert module["page"]() == module["PAGE"].read_text(encoding="utf-8")


def test_every_cell_of_what_works_names_a_test():
    page = (ROOT / "docs" / "what-works.md").read_text(encoding="utf-8")
    named = set(re.findall(r'\[✓\]\(\.\./(tests/\S+) "([^"]+)"\)', page))
    assert len(named) == page.count("✓") - 1 > 300  # one is in the text above the tables
    files = sorted({file for file, _ in named})
    pytest_command = str(Path(sys.executable).with_name("pytest"))
    command = [pytest_command, "-q", "--collect-only", "-m", "", *files]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert named <= {tuple(line.split("::")) for line in found.splitlines() if "::" in line}
