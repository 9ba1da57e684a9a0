# Each target is three lines or fewer; what it does stands in extras/.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SUDO = $(shell [ `id -u` = 0 ] || echo sudo)

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: ## Boot a first VM on this machine: installs what is missing, ends with a guest that answers over ssh
	@PYTHON=$(PYTHON) VENV=$(VENV) extras/quickstart/run

test: $(VENV)/ready ## Run the tests that need no hypervisor, in under 3 minutes
	$(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/python extras/docgen.py --check
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

e2e: $(VENV)/ready ## Run the tests against the real libvirtd of this machine, which boot guests
	@extras/quickstart/host-setup --build-image
	@$(SUDO) extras/guest-image/build --default-pool
	$(BIN)/pytest tests/e2e --override-ini=addopts= -q -m 'not kernel' -n 2 --dist loadgroup --no-loadscope-reorder $(ARGS)

kernel: $(VENV)/ready ## Run the tests that need another kernel: LVM, NFS, iSCSI, Open vSwitch, the shaping of traffic
	@extras/quickstart/host-setup --build-image
	$(BIN)/pytest tests/e2e --override-ini=addopts= -q -m kernel $(ARGS)

slow: $(VENV)/ready ## Run the conformance suite and the fault sweep on every cloud, and what else takes long
	$(BIN)/pytest -m slow -n 2 --dist loadfile $(ARGS)

bench: $(VENV)/ready ## Measure kvirt beside kcli on the same libvirt, in one run
	@extras/quickstart/host-setup --build-image && $(SUDO) extras/guest-image/build --default-pool
	@command -v xorrisofs >/dev/null || $(SUDO) apt-get -qqy install xorriso >/dev/null  # kcli needs it
	$(BIN)/python extras/bench/run.py $(ARGS)

golden: $(VENV)/ready ## Rewrite the golden files of the tests; read the difference afterwards
	$(BIN)/pytest -n 2 --dist loadfile --update-golden $(ARGS)

docs: $(VENV)/ready ## Generate the reference pages from the tables
	$(BIN)/python extras/docgen.py

site: $(VENV)/ready ## Build the site of the documentation in build/site; a warning is an error
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # with --quiet, warnings are not even counted
	$(BIN)/python extras/check_links.py build/site

check-images: $(VENV)/ready ## Ask the vendors if the well-known images and their checksums are where the table says
	$(BIN)/python extras/check_images.py $(ARGS)

lint: $(VENV)/ready ## Check style and types
	$(BIN)/ruff check . && $(BIN)/mypy

live: $(VENV)/ready ## Run the conformance suite on a real account: make live PROVIDER=kvm
	$(BIN)/pytest --pyargs kvirt.testing --kvirt-provider $(PROVIDER) $(ARGS)

clean: ## Remove what was built; VMs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/ready: setup.py kvirt/providers/catalog.py
	@extras/quickstart/python-setup $(PYTHON) $(VENV) all,test
	@touch $@

.PHONY: help quickstart test e2e kernel slow bench golden docs site check-images lint live clean
.DEFAULT_GOAL := help
