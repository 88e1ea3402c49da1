# Everything runs in $(VENV), which the first target that needs it makes. What is up to date is not
# done again: a stamp file marks each step, and compiled objects stay under build/.

PYTHON ?= python3
TORCH ?= torch==2.13.0
# Options for installing torch alone, such as --index-url with the index of CPU-only wheels.
TORCH_PIP_ARGS ?=
PYTEST_ARGS ?=
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# `make dev` leaves the mark $(VENV)/editable. From then on torchconv is imported from this folder,
# so its Python files need no reinstalling; otherwise the package is installed as a user would.
EDITABLE := $(wildcard $(VENV)/editable)
EXTRAS := $(if $(EDITABLE),dev,test)
SOURCES := setup.py pyproject.toml $(shell find csrc build_backend -type f -not -name '*.pyc') \
  $(if $(EDITABLE),,$(shell find torchconv -name '*.py' -o -name '*.pyi'))
CPP := $(shell find csrc tests -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')

.DEFAULT_GOAL := help
.PHONY: help demo test lint format dev benchmarks cuda-check gpu-report clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed  ## train a small convolutional network on handwritten digits
	$(BIN)/python examples/digits.py

# The pytest command, not `python -m pytest`, which would import the uncompiled ./torchconv.
test: $(VENV)/installed  ## build, install and run the tests (PYTEST_ARGS='-m slow' for those)
	$(BIN)/pytest $(PYTEST_ARGS)

lint: $(VENV)/linters  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy

format: $(VENV)/linters  ## bring the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP)

dev: $(VENV)/torch  ## editable installation: run this again after a change of C++ code
	@touch $(VENV)/editable
	@rm -f $(VENV)/installed
	@$(MAKE) --no-print-directory $(VENV)/installed

# On a machine that does nothing else. The page holds the command of every table.
BENCH := $(BIN)/python -m torchconv.bench
MARKDOWN := --markdown docs/benchmarks.md
PAGE := --seconds 0.3 $(MARKDOWN)
benchmarks: $(VENV)/installed  ## measure anew what docs/benchmarks.md shows, about 20 minutes
	$(BENCH) conv --table lenet,alexnet,resnet_50 $(PAGE)
	$(BENCH) conv --table mobilenet_v1 $(PAGE)
	$(BENCH) conv --table lenet --batch 1 $(PAGE)
	$(BENCH) conv --table grouped --batch 4 $(PAGE)
	$(BENCH) conv --dtype float64 --batch 4 $(PAGE)
	$(BENCH) conv --dtype float16 --shape N=2,C=32,H=28,K=32,R=3,pad=1 --shape N=2,C=16,H=56,K=32,R=1 $(PAGE)
	$(BENCH) conv --dtype bfloat16 --batch 4 $(PAGE)
	$(BENCH) linear --table nets,benchdnn $(PAGE)
	$(BENCH) matmul --table squares,skinny $(PAGE)
	$(BENCH) matmul --dtype float64 $(PAGE)
	$(BENCH) matmul --dtype float16 --shape M=256 --shape M=512 $(PAGE)
	$(BENCH) matmul --dtype bfloat16 $(PAGE)
	$(BENCH) pool $(PAGE)
	$(BENCH) sigmoid $(PAGE)
	$(BENCH) block --batch 4 $(PAGE)
	$(BENCH) net --table lenet,alexnet,resnet_18,vgg_16 $(PAGE)
	$(BENCH) conv --table vgg_16,resnet_50 --filter R=3,pad=1 --batch 4 $(PAGE)
	$(BENCH) conv --table unet --filter mid $(PAGE)
	$(BENCH) memory $(MARKDOWN)

# In an environment of its own, of some 5 GB, with the newest torch that is supported: so both are
# compiled against. Whatever pip's configuration offers is left aside, since it may be a torch for
# the CPU of the same version. TORCH_CUDA_ARCH_LIST=9.0 is quicker.
CUDA_TORCH ?= torch==2.14.1
CUDA_TESTS ?= tests/test_cuda.py tests/test_private_names.py tests/test_registration.py \
  tests/test_errors.py \
  tests/test_sigmoid.py tests/test_relu.py tests/test_max_pool2d.py
cuda-check:  ## build with CUDA kernels, for which nvcc is enough, and test what needs no GPU
	PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= TORCHCONV_CUDA=1 \
	  $(MAKE) test VENV=$(VENV)-cuda TORCH='$(CUDA_TORCH)' PYTEST_ARGS='$(CUDA_TESTS)'

# With the torch, the nvcc and the tools that are there: nothing is downloaded.
REPORT_PYTHON ?= $(or $(wildcard $(BIN)/python),$(PYTHON))
gpu-report:  ## on a machine with a GPU: build, test, measure and sanitize CUDA kernels in 10 minutes
	$(REPORT_PYTHON) -c 'import torch, ninja, hypothesis, numpy, pytest, tabulate, tqdm'
	TORCHCONV_CUDA=1 $(REPORT_PYTHON) setup.py -q build_ext --inplace
	PYTHONPATH=$(CURDIR) $(REPORT_PYTHON) -m torchconv.bench gpu --minutes 7 --save gpu-report.json \
	  $(MARKDOWN) $(REPORT_ARGS)

clean:  ## remove the environment and all that was built
	rm -rf $(VENV) $(VENV)-cuda build dist *.egg-info torchconv/_C*.so torchconv/_build_info.json
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache

# torch is installed first and pinned: the package itself accepts a range, for which pip would
# look up the newest. The build tools lie beside it, so that rebuilding needs no isolation.
$(VENV)/torch:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(TORCH_PIP_ARGS) '$(TORCH)'
	$(PIP) install 'setuptools>=77' ninja
	@touch $@

$(VENV)/installed: $(VENV)/torch $(SOURCES)
	$(PIP) install --no-build-isolation $(if $(EDITABLE),--editable) '.[$(EXTRAS),examples]'
	@touch $@

# The exact versions from the dev extra, without building the package for it.
$(VENV)/linters: $(VENV)/torch pyproject.toml
	$(PIP) install $$(grep -oE '(clang-format|mypy|ruff)==[0-9.]+' pyproject.toml)
	@touch $@
