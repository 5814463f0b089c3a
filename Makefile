# Everything a person types; CI calls the same verbs. `make help` lists them.

CONFIG ?= trainer/configs/ml-100k.toml
OUT ?= artifacts/$(basename $(notdir $(CONFIG)))
SET ?=
AGAINST ?=
GRPC_PORT ?= 8500
REST_PORT ?= 8501
USER_ID ?=
WORKERS ?= 3
STEP ?=
SEED ?= 42
ITEMS ?=
NEW ?=
SERVER ?=
VERSION ?=
GPU ?= $(shell nvidia-smi >/dev/null 2>&1 && echo 1 || echo 0)
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo $$p && break; done)

VENV := .venv
PY := $(VENV)/bin/python
LOCK := $(if $(filter 1,$(GPU)),requirements-gpu.lock,requirements.lock)
READY := $(VENV)/.ready-$(basename $(LOCK))
OVERRIDES := $(foreach s,$(SET),--set $(s))
# Read when TensorFlow is first imported; its recommenders refuse Keras 3.
export TF_USE_LEGACY_KERAS := 1
export KERAS_BACKEND := tensorflow
export TF_CPP_MIN_LOG_LEVEL ?= $(if $(filter 1,$(GPU)),2,3)

.DEFAULT_GOAL := help
.PHONY: help setup data train evaluate export add-items remove-items serve query test \
	test-real test-replicas lint format type bench bench-data bench-index \
	bench-recommender bench-quality bench-serving bench-retrain retrain rollback \
	pipeline deploy-check lock clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo
	@echo "CONFIG=$(CONFIG) OUT=$(OUT) SET='table.key=value ...' GPU=$(GPU)"

setup: $(READY) ## create .venv with the locked packages (GPU=0/1 overrides)

$(READY): $(LOCK)
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 was found; install one," \
		"or name it: make setup PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { echo "python -m venv failed;" \
		"on Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	@echo "Installing the packages of $(LOCK) into $(VENV); once, some minutes ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@rm -f $(VENV)/.ready-*
	@touch $@

data: $(READY) ## fetch and prepare the data of CONFIG
	@$(PY) -m data prepare $(CONFIG) --out $(OUT)/data $(OVERRIDES)

train: $(READY) ## everything: data, retrieval, ranking, report, refit, export
	@$(PY) -m trainer train $(CONFIG) --out $(OUT) $(OVERRIDES)

evaluate: $(READY) ## fit, write OUT/report.html; AGAINST="B C" compares with them
	@$(PY) -m trainer evaluate $(CONFIG) --out $(OUT) $(OVERRIDES) \
		$(foreach folder,$(AGAINST),--against $(folder))

export: $(READY) ## publish a new version of the servables
	@$(PY) -m trainer export $(CONFIG) --out $(OUT) $(OVERRIDES)

retrain: $(READY) ## retrain: NEW="a.csv b.csv" SERVER=host:port; else the last weeks
	@$(PY) -m trainer retrain $(CONFIG) --out $(OUT) $(OVERRIDES) \
		$(if $(NEW),$(NEW:%=--new %),--replay) $(if $(SERVER),--server $(SERVER))

rollback: $(READY) ## serve the version before again, or VERSION=
	@$(PY) -m trainer rollback --models $(OUT)/models \
		$(if $(VERSION),--to $(VERSION)) $(if $(SERVER),--server $(SERVER))

pipeline: $(READY) ## compile the retraining job: OUT/pipeline.yaml
	@$(PY) -m trainer pipeline $(CONFIG) --out $(OUT) -o $(OUT)/pipeline.yaml $(OVERRIDES)

add-items: $(READY) ## serve the items of ITEMS= as well, without training
	@test -n "$(ITEMS)" || { echo "usage: make $@ ITEMS=items.csv [OUT=$(OUT)]"; \
		exit 2; }
	@$(PY) -m trainer $@ "$(ITEMS)" --model $(OUT)/models

remove-items: $(READY) ## recommend the items of ITEMS= no longer
	@test -n "$(ITEMS)" || { echo "usage: make $@ ITEMS=ids.csv [OUT=$(OUT)]"; \
		exit 2; }
	@$(PY) -m trainer $@ "$(ITEMS)" --model $(OUT)/models

serve: $(READY) ## serve OUT/models on GRPC_PORT and REST_PORT
	@test -f $(OUT)/models/models.scann.config || { echo "$(OUT)/models holds no" \
		"servables yet. Run: make train CONFIG=$(CONFIG)"; exit 2; }
	@exec $(PY) -m serving modelserver --port=$(GRPC_PORT) \
		--rest_api_port=$(REST_PORT) \
		--model_config_file=$(OUT)/models/models.scann.config \
		--allow_version_labels_for_unavailable_models=true

query: $(READY) ## ask the running server: make query USER_ID=196
	@test -n "$(USER_ID)" || { echo "usage: make query USER_ID=196 [K=5]" \
		"[GRPC_PORT=8500]"; exit 2; }
	@$(PY) -m serving query --user "$(USER_ID)" $(if $(K),--k $(K)) --grpc localhost:$(GRPC_PORT)

test: lint $(READY) ## what CI runs: lint, types, all offline tests
	@TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 $(PY) -m pytest -q \
		-n $(WORKERS) --dist loadgroup --no-loadscope-reorder -m "not replicas"

test-replicas: $(READY) ## fits on several devices, in several processes, and killed
	@$(PY) -m pytest -q -m replicas

test-real: $(READY) ## the same path on MovieLens-100K with the real weights
	@TANDEM_REAL=1 $(PY) -m pytest -q -m realdata

lint: $(READY) ## format check, lint and types
	@$(PY) -m ruff format --check --quiet . || { echo "Run: make format"; exit 1; }
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy

type: $(READY) ## types alone
	@$(PY) -m mypy

format: $(READY) ## format the code
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --fix --quiet .

bench: $(READY) ## the input pipeline, beside TFRecord
	@$(PY) -m benchmarks.input_pipeline

bench-data: $(READY) ## prepare and read 25 million generated rows (DOUBLE=1: and 50)
	@$(PY) -m benchmarks.prepare_scale $(if $(filter 1,$(DOUBLE)),--double)

PEERS := faiss-cpu==1.15.1 hnswlib==0.8.0
bench-index: $(READY) ## indexes beside FAISS and hnswlib (ITEMS="100000 1000000")
	@$(PY) -m pip install --quiet --disable-pip-version-check $(PEERS)
	@$(PY) -m benchmarks.index $(ITEMS:%=--items=%)

bench-recommender: $(READY) ## one call of the recommender, 1,682 and a million items
	@$(PY) -m benchmarks.recommender $(ITEMS:%=--items=%) $(OVERRIDES)

bench-quality: $(READY) ## train and measure STEP= of docs/quality.md (SEED=, SET=, NAME=)
	@test -n "$(STEP)" || { echo "usage: make bench-quality STEP=leave-one-out" \
		"[SEED=42] [SET='table.key=value ...' NAME='what it tries'];" \
		"docs/quality.md lists the steps"; \
		exit 2; }
	@$(PY) -m benchmarks.quality $(STEP) --seed $(SEED) $(OVERRIDES) \
		$(if $(NAME),--name "$(NAME)")

bench-serving: $(READY) ## load, swaps and abuse of the server (PARTS="cost swap")
	@$(PY) -m benchmarks.serving all $(PARTS:%=--only=%) $(if $(MINUTES),--minutes=$(MINUTES))

bench-retrain: $(READY) ## slices through the job under load, and kills (PARTS=kills)
	@$(PY) -m benchmarks.retrain $(CONFIG) --work $(OUT)/bench-retrain \
		$(PARTS:%=--only=%) --seed $(SEED) $(OVERRIDES)

deploy-check: $(READY) ## check images, compose, Kubernetes, KServe, monitoring
	@$(PY) -m serving.deploy.check
	@$(PY) -m trainer.jobs.check

lock: ## resolve both locks anew (needs uv)
	@for lock in requirements.lock: requirements-gpu.lock:--extra=gpu; do \
		uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate \
		--extra dev $${lock#*:} pyproject.toml -o $${lock%%:*} >/dev/null || exit 1; \
	done

clean: ## remove what training made; .venv and fetched data stay
	@rm -rf artifacts .mypy_cache .ruff_cache .pytest_cache
