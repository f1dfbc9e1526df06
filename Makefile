# Each target sets up .venv by itself, in silence when nothing is to do.

TASK =
MODEL =
RUN =
STUDY =
ARGS =
PYTHON ?=

TASKS = $(sort $(filter-out base watch,$(patsubst configs/%.yaml,%,$(wildcard configs/*.yaml))))
RECIPES = $(sort $(filter-out models/% studies/%,$(patsubst configs/%.yaml,%,$(wildcard configs/*/*.yaml))))
STUDIES = $(sort $(patsubst configs/studies/%.yaml,%,$(wildcard configs/studies/*.yaml)))
MODELS = $(sort $(patsubst configs/models/%.yaml,%,$(wildcard configs/models/*.yaml)))

# $(call one_of,NAME,values): stop with one line, unless the variable NAME holds one of the values.
one_of = $(if $(and $(filter 1,$(words $($(1)))),$(filter $(2),$($(1)))),,$(error \
	$(if $(strip $($(1))),unknown $(1)=$(strip $($(1)))$(patsubst seeds/%,; it is called published/% now,$(filter seeds/%,$($(1)))),$(1)= is missing); known: $(strip $(2))))

# exec, here and below: signals reach the program itself.
SETUP = @exec sh tools/install.sh '$(PYTHON)'

.DEFAULT_GOAL := help
.PHONY: help install train resume analyze study reproduce board test test-all coverage check bench clean

help:  ## show this text
	@echo 'make TARGET [NAME=value ...]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s%s\n", $$1, $$2 }' Makefile
	@echo 'TASK    $(TASKS)'
	@echo '        $(RECIPES)'
	@echo 'MODEL   $(MODELS)'
	@echo 'STUDY   $(STUDIES)'
	@echo 'ARGS    further arguments, as in ARGS="--trainer.max_steps 500"'
	@echo 'PYTHON  the Python that .venv is made with (python3, or that of .venv)'

install:  ## set up .venv; every target that needs it does so by itself
	$(SETUP)

train:  ## train a network: TASK=echo [MODEL=gru] [ARGS=...]
	$(call one_of,TASK,$(TASKS) $(RECIPES))
	$(if $(strip $(MODEL)),$(call one_of,MODEL,$(MODELS)))
	$(SETUP)
	@exec .venv/bin/rnn-tasks fit --config $(TASK) $(if $(strip $(MODEL)),--config models/$(strip $(MODEL))) $(ARGS)

resume:  ## go on with the newest run of a task: TASK=echo
	$(if $(strip $(TASK)),,$(call one_of,TASK,$(TASKS) $(RECIPES)))
	$(SETUP)
	@exec .venv/bin/rnn-tasks resume '$(strip $(TASK))' $(ARGS)

analyze:  ## write a report of a trained network: TASK=echo, or RUN="FOLDER [FOLDER]" ARGS="--output FOLDER"
	$(if $(strip $(RUN)$(TASK)),,$(call one_of,TASK,$(TASKS) $(RECIPES)))
	$(SETUP)
	@exec .venv/bin/rnn-tasks analyze $(or $(strip $(RUN)),'$(strip $(TASK))') $(ARGS)

study:  ## many runs compared: STUDY=copy_constraints [ARGS="--jobs 2"]
	$(call one_of,STUDY,$(STUDIES))
	$(SETUP)
	@exec .venv/bin/rnn-tasks study run $(STUDY) $(ARGS)

reproduce:  ## published figures beside ours, in 25 minutes: [ARGS="--all"]
	$(SETUP)
	@exec .venv/bin/rnn-tasks reproduce --jobs 2 $(ARGS)

board:  ## look at all runs in TensorBoard
	$(SETUP)
	@exec .venv/bin/tensorboard --logdir lightning_logs $(ARGS)

# The marker slow is for tests of other processes, of whole studies, of PostgreSQL, of the set-up and of wheels, and for
# nine tenths of the shipped configs: each day another tenth of them is in the fast tests.
test:  ## run the fast tests, in two minutes: [ARGS="-k echo"]
	$(SETUP)
	@exec .venv/bin/python -m pytest -n 2 -m 'not slow' $(ARGS)

test-all:  ## run all tests, the slow ones too: [ARGS="-m slow"]
	$(SETUP)
	@exec .venv/bin/python -m pytest -n 2 $(ARGS)

# In a target of its own: it makes the tests take twice as long.
# A part of the tests, chosen by ARGS, is not held to the whole's coverage.
coverage:  ## run all tests, and show which lines they leave out
	$(SETUP)
	@exec .venv/bin/python -m pytest -n 2 --cov $(if $(strip $(ARGS)),--cov-fail-under=0) $(ARGS)

check:  ## check format, lint and types
	$(SETUP)
	@.venv/bin/ruff format --check --quiet . || { echo 'format: run .venv/bin/ruff format .' >&2; exit 1; }
	@.venv/bin/ruff check --quiet .
	@exec .venv/bin/mypy

bench:  ## measure what things cost, against peers: [ARGS="--quick"]
	$(SETUP)
	@exec .venv/bin/python -m benchmarks $(ARGS)

clean:  ## remove .venv, caches and what was built; never a run
	@rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* htmlcov build dist
	@find . \( -name .git -o -name lightning_logs \) -prune -o -name __pycache__ -prune -exec rm -rf {} +
