# The two commands of the README, and what they are made of. PYTHON picks the interpreter; TORCH=0 and ORACLE=0 leave those out.
PYTHON ?= python3
TORCH ?= 1
ORACLE ?= 1
VENV := .venv
BIN := $(VENV)/bin
TORCH_VERSION := 2.13.0
.PHONY: demo test lint venv pictures clean

demo: venv
	$(BIN)/monocap capture examples/demo.mp4 -o out/demo
	@echo "Overlay:  out/demo/overlay.mp4"
	@echo "Avatar:   out/demo/avatar.glb   (drop it on any glTF viewer)"
	@echo "Motion:   out/demo/motion.npz"

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --editable .
	touch $@

venv: $(VENV)/ready

# torch first and as its CPU build, so that nobody downloads gigabytes of CUDA for the tests.
$(VENV)/ready-test-$(TORCH)-$(ORACLE): $(VENV)/ready
ifneq ($(TORCH),0)
	$(BIN)/python -c "import torch" 2>/dev/null \
	  || timeout 120 $(BIN)/pip install --quiet --retries 0 --timeout 10 --no-deps --index-url https://download.pytorch.org/whl/cpu torch==$(TORCH_VERSION) 2>/dev/null \
	  || $(BIN)/pip install --quiet torch==$(TORCH_VERSION)
	$(BIN)/pip install --quiet "torch==$(TORCH_VERSION)" --group torch-test
endif
	$(BIN)/pip install --quiet --group dev
ifneq ($(ORACLE),0)
	@echo "smplx, the tests' oracle, comes under a non-commercial licence (research only); ORACLE=0 skips it."
	$(BIN)/pip install --quiet --no-deps --group oracle
endif
	touch $@

lint: $(VENV)/ready-test-$(TORCH)-$(ORACLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell src tests tools docs *.md

test: $(VENV)/ready-test-$(TORCH)-$(ORACLE) lint
	$(BIN)/pytest -n auto --dist loadfile

# Every picture in README and docs.
pictures: venv
	$(BIN)/python tools/make_pictures.py

clean:
	rm -rf $(VENV) out build dist
