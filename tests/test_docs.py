"""Every example in the documentation runs and prints what it says."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest
import torch

import torchconv

MODULES = [
    module.name
    for module in pkgutil.walk_packages(torchconv.__path__, "torchconv.")
    if not module.name.rpartition(".")[2].startswith("_")
]
PAGES = [p for p in Path(__file__).parents[1].glob("*.md") if ">>>" in p.read_text()]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    names = {"torch": torch, "torchconv": torchconv}
    result = doctest.testmod(importlib.import_module(name), extraglobs=names)
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page):
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def test_every_public_function_has_an_example():
    for name in torchconv.functional.__all__:
        assert ">>>" in getattr(torchconv, name).__doc__
    for name in torchconv.nn.__all__:
        assert ">>>" in getattr(torchconv.nn, name).__doc__
