# Every target sets up what it needs first; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
MEMBERS := licensing metering sdk server
TORCH := torch==2.13.0
VIDEO ?=

.PHONY: help install demo test check format simulate crash load cluster faults growth vectors recompute valuation estimator fuzz rating \
	mutants close-load defences \
	invoices pages docs how-to wheels licenses newcomer types pictures rd bench player train api serve browser reference clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## Make .venv with all four packages; quick when nothing changed

# torch first and by itself: resolved together with the rest, the index's newest build with CUDA could be taken.
.venv/.installed: pyproject.toml hatch_build.py $(MEMBERS:%=%/pyproject.toml)
	@echo "Setting up .venv (once; a few minutes) …"
	@test -x $(BIN)/python || $$(command -v $(PYTHON) || command -v python3) -m venv .venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Narrows needs Python 3.11 or newer")'
	@$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

demo: install ## From a clip to an invoice: VIDEO=clip.mp4 for your own; results in demo-output/
	@$(BIN)/python tests/end_to_end/demo.py $(if $(VIDEO),--video "$(VIDEO)")

serve: install ## A server with half a year of business, to look at: PORT=8080; prints address and sign-ins
	@$(BIN)/python -m tests.demo.serve --port $(or $(PORT),8080)

browser: install ## Every flow and every page as every role in Chromium, with axe; pictures into PICTURES=demo-output/pictures
	@$(BIN)/python -m tests.browser.run --pictures "$(or $(PICTURES),demo-output/pictures)" $(ARGS)

test: install check ## Lint, types, import contracts and all tests; the server's on DATABASE=sqlite, postgresql or both
	@$(BIN)/pytest -n auto --dist worksteal --database $(or $(DATABASE),sqlite)

check: install ## Lint, types and import contracts only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy licensing/src metering/src sdk/src server/src sdk/training sdk/benchmarks tests
	@$(BIN)/lint-imports

format: install ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

simulate: install ## SDK, network, disks and server from SEEDS=2000 seeds: FIRST=0 to resume, JOBS=2, ARGS=--json
	@$(BIN)/python -m tests.simulation.run --seeds $(or $(SEEDS),2000) --first $(or $(FIRST),0) --jobs $(or $(JOBS),2) $(ARGS)

crash: install ## kill -9, power cuts, every byte changed, replay: KILLS=500 CUTS=500, ARGS=--json
	@$(BIN)/python -m tests.crash.run --kills $(or $(KILLS),500) --cuts $(or $(CUTS),500) $(ARGS)

load: install ## Records a second beside a naive peer: DURATION=60 on each database or on DATABASE=postgresql
	@$(BIN)/python -m tests.load.run --duration $(or $(DURATION),60) $(if $(DATABASE),--parts $(DATABASE)) $(ARGS)

VECTORS := tests/licensing/vectors

cluster: install ## One clip on one process and on two Dask workers: same bytes, the ratio, a worker killed; ARGS=--json
	@$(BIN)/python -m tests.cluster.run $(ARGS)

faults: install ## Servers killed, bodies cut, disks full, hostile clients, against the real command: ROUNDS=20
	@ROUNDS=$(or $(ROUNDS),20) $(BIN)/pytest -q tests/faults tests/server/test_punctual.py --durations=10

growth: install ## Intake, usage view and close at 10⁵, 10⁶ and 10⁷ records: SIZES=100000,1000000, DATABASE=postgresql, ARGS=--json
	@$(BIN)/python -m tests.load.growth $(if $(SIZES),--sizes $(SIZES)) $(if $(DATABASE),--database $(DATABASE)) $(ARGS)

fuzz: install ## Hostile files, packets and streams for SECONDS=600 each; findings in fuzz-findings/
	@for target in container packet decoder; do \
		OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.run $$target --seconds $(if $(filter command line,$(origin SECONDS)),$(SECONDS),600) || exit 1; done

vectors: install $(VECTORS)/node_modules/jose ## Signed documents checked by joserfc and npm jose, and every byte of each changed
	@$(BIN)/pytest -q tests/licensing/test_vectors.py
	@node $(VECTORS)/check.mjs $(VECTORS)/vectors.json
	@$(BIN)/python -m tests.licensing.vectors.mutate

$(VECTORS)/node_modules/jose: $(VECTORS)/package.json
	@command -v npm > /dev/null || { echo "make vectors needs Node 20 with npm: https://nodejs.org"; exit 1; }
	@cd $(VECTORS) && npm install --silent --no-audit --no-fund && touch node_modules/jose

invoices: install ## Golden invoices against the official rules of EN 16931, broken fields, papers, times: ARGS=--json
	@$(BIN)/python -m tests.invoices.run $(ARGS)

recompute: install ## Seconds in which an auditor recomputes a statement over RECORDS=1000000 records
	@$(BIN)/python -m tests.load.recompute --records $(or $(RECORDS),1000000)

valuation: install ## What savings are worth, beside a naive reckoning: CASES=100000 random months and tariffs
	@$(BIN)/python -m tests.valuation.run --cases $(or $(CASES),100000)

estimator: install ## How often the lower bound lies below the truth, on five shapes of traffic: REPEATS=400
	@$(BIN)/python -m tests.estimator.run --repeats $(or $(REPEATS),400)

rating: install ## Invoice lines, beside a naive reckoning: CONTRACTS=100000 random contracts, ARGS=--json
	@$(BIN)/python -m tests.rating.run --contracts $(or $(CONTRACTS),100000) $(ARGS)

api: install ## schemathesis against a real server: EXAMPLES=50 for each operation, ROLE=owner or customer, ARGS="--seed 1"
	@$(BIN)/python -m tests.api.run --examples $(or $(EXAMPLES),50) --role $(or $(ROLE),owner) $(ARGS)

defences: install ## Each defence of the server taken out of a copy: its test has to fail; ROW=21, JOBS=2, ARGS=--json
	@$(BIN)/python -m tests.defences.run --jobs $(or $(JOBS),2) $(if $(ROW),--row $(ROW)) $(ARGS)

reference: install ## Write the reference pages that are generated from the code
	@$(BIN)/python -m tests.docs.reference

docs: reference ## The documentation as a site, in docs-site/
	@$(BIN)/zensical build -f mkdocs.yml --strict
	@$(BIN)/python -m tests.docs.site

how-to: install ## Every block of code of every page, typed as its reader would
	@PAGES=all $(BIN)/pytest tests/docs/test_pages.py -n auto

pictures: install ## The README's pictures of a terminal and of a comparison: CLIP=file; those of pages: make browser ARGS="--readme docs/images"
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.docs.pictures $(if $(CLIP),"$(CLIP)")

wheels: install ## The four wheels, reproducible, in dist/
	@$(BIN)/python -m tests.packaging.wheels

licenses: install ## The licenses of all that comes with our wheels, and bills of materials, in dist/
	@$(BIN)/python -m tests.packaging.licenses

types: install ## What pyright, strict, says of a customer's program and of every public name
	@$(BIN)/python -m pyright --version > /dev/null 2>&1 || $(BIN)/pip install --quiet "pyright[nodejs]==1.1.414"
	@$(BIN)/python -m tests.typing.run

newcomer: install ## The tutorials word for word, from wheels in a clean environment
	@$(BIN)/python -m tests.packaging.newcomer

mutants: install ## Mutation score of rating, rounding and numbering: JOBS=2, ARGS=--json
	@$(BIN)/python -m tests.mutants.run --jobs $(or $(JOBS),2) $(ARGS)

close-load: install ## Seconds in which a month is closed: CONTRACTS=1000 RECORDS=1000000, on both databases
	@$(BIN)/python -m tests.load.close --contracts $(or $(CONTRACTS),1000) --records $(or $(RECORDS),1000000) $(ARGS)

pages: install ## Milliseconds of every page over ROWS=10000000 rollup rows on PostgreSQL: TIMES=40, ARGS="--json pages.json"
	@$(BIN)/python -m tests.pages.run --rows $(or $(ROWS),10000000) --times $(or $(TIMES),40) $(ARGS)

rd: install ## Rate-distortion table: CLIPS=folder of .mkv or .mp4 clips
	@test -n "$(CLIPS)" || { echo "usage: make rd CLIPS=folder"; exit 2; }
	@$(BIN)/python sdk/benchmarks/rate_distortion.py "$(CLIPS)"

PLAYER := sdk/player

player: install $(PLAYER)/node_modules/onnxruntime-web ## A clip decoded in Chromium beside Python: CLIP=file.mkv, ARGS="--json"
	@$(BIN)/python -m tests.player.run $(if $(CLIP),"$(CLIP)") $(ARGS)

$(PLAYER)/node_modules/onnxruntime-web: $(PLAYER)/package.json
	@command -v npm > /dev/null || { echo "make player needs Node 20 with npm: https://nodejs.org"; exit 1; }
	@cd $(PLAYER) && npm install --silent --no-audit --no-fund && touch node_modules/onnxruntime-web

bench: install ## Speed beside x265, libavcodec and a larger network: CLIPS=folder (else made ones), ARGS="--json speed.json"
	@$(BIN)/python sdk/benchmarks/speed.py $(if $(CLIPS),"$(CLIPS)") $(ARGS)

train: install ## Train the weights: MATERIAL=folder with PROVENANCE.tsv, RUN=folder, MINUTES=per stage
	@test -n "$(MATERIAL)" && test -n "$(RUN)" || { echo "usage: make train MATERIAL=folder RUN=folder [MINUTES=60]"; exit 2; }
	@cd sdk && ../$(BIN)/python -m training.run --material "$(abspath $(MATERIAL))" --run "$(abspath $(RUN))" --minutes $(or $(MINUTES),60)

clean: ## Remove what was made here, the environment included
	rm -rf .venv demo-output dist docs-site .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
