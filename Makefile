# Each target sets up .venv first, if .venv is missing or outdated.

TASK =
MODEL =
RUN =
STUDY =
ARGS =
PYTHON ?=

define newline


endef
# The values are texts: make runs nothing in them, and $(call quoted,TEXT) is one word for the shell.
$(foreach name,TASK MODEL RUN STUDY ARGS PYTHON,$(eval override $(name) := $$(subst $$(newline), ,$$(value $(name)))))
quoted = '$(subst ','\'',$(1))'

TASKS = $(sort $(filter-out base watch,$(patsubst configs/%.yaml,%,$(wildcard configs/*.yaml))))
RECIPES = $(sort $(filter-out models/% studies/%,$(patsubst configs/%.yaml,%,$(wildcard configs/*/*.yaml))))
STUDIES = $(sort $(patsubst configs/studies/%.yaml,%,$(wildcard configs/studies/*.yaml)))
MODELS = $(sort $(patsubst configs/models/%.yaml,%,$(wildcard configs/models/*.yaml)))

# $(call one_name,NAME,values): stop with an error if the variable NAME is empty or has several words. The values are
# suggestions: rnn-tasks also knows the names of installed plug-ins, and reports a misspelt name.
one_name = $(if $(filter 1,$(words $($(1)))),,$(error \
	$(1)= $(if $(strip $($(1))),must be one name,is missing); choose one of: $(strip $(2))))

# exec, here and below: the program receives signals directly.
SETUP = @exec sh tools/install.sh $(call quoted,$(strip $(PYTHON)))

# $(call with_args,TEXT) PROGRAM: run a program, with the words of a text as its last arguments.
with_args = @exec env ARGS=$(call quoted,$(1)) .venv/bin/python -I tools/with_args.py

.DEFAULT_GOAL := help
.PHONY: help install train resume analyze explore study reproduce board docs test test-all coverage check bench clean

help:  ## show this help
	@echo 'make TARGET [NAME=value ...]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s%s\n", $$1, $$2 }' Makefile
	@echo 'TASK    $(TASKS)'
	@echo '        $(RECIPES)'
	@echo 'MODEL   $(MODELS)'
	@echo 'STUDY   $(STUDIES)'
	@echo '        and the names of installed plug-ins (docs/plugins.md)'
	@echo 'ARGS    further arguments, as in ARGS="--trainer.max_steps 500"'
	@echo 'PYTHON  Python to create .venv with (default: that of .venv, else python3)'

install:  ## set up .venv; the other targets do this too
	$(SETUP)

train:  ## train a network: TASK=echo [MODEL=gru] [ARGS=...]
	$(call one_name,TASK,$(TASKS) $(RECIPES))
	$(if $(strip $(MODEL)),$(call one_name,MODEL,$(MODELS)))
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/rnn-tasks fit --config $(call quoted,$(strip $(TASK))) $(if $(strip $(MODEL)),--config $(call quoted,models/$(strip $(MODEL))))

resume:  ## continue the newest run of a task: TASK=echo
	$(if $(strip $(TASK)),,$(call one_name,TASK,$(TASKS) $(RECIPES)))
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/rnn-tasks resume $(call quoted,$(strip $(TASK)))

analyze:  ## write an HTML report of trained networks: TASK=echo, or RUN="FOLDER [FOLDER]" ARGS="--output FOLDER"
	$(if $(strip $(RUN)$(TASK)),,$(call one_name,TASK,$(TASKS) $(RECIPES)))
	$(SETUP)
	$(call with_args,$(or $(RUN),$(TASK)) $(ARGS)) .venv/bin/rnn-tasks analyze

explore:  ## write a page that runs a trained network in a browser: TASK=echo, or RUN="FOLDER [FOLDER]"
	$(if $(strip $(RUN)$(TASK)),,$(call one_name,TASK,$(TASKS) $(RECIPES)))
	$(SETUP)
	$(call with_args,$(or $(RUN),$(TASK)) $(ARGS)) .venv/bin/rnn-tasks explore

study:  ## compare many runs: STUDY=copy_constraints [ARGS="--jobs 2"]
	$(call one_name,STUDY,$(STUDIES))
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/rnn-tasks study run $(call quoted,$(strip $(STUDY)))

reproduce:  ## compare published results with ours, in 25 minutes: [ARGS="--all"]
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/rnn-tasks reproduce --jobs 2

board:  ## show all runs in TensorBoard
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/tensorboard --logdir lightning_logs

docs:  ## build the documentation site, in about a minute: build/docs/index.html
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet --jobs 2 -d build/doctrees docs build/docs

# The marker slow is for tests of other processes, of whole studies, of PostgreSQL, of the set-up and of wheels, and for
# nine tenths of the shipped configs: each day another tenth of them is in the fast tests.
test:  ## run the fast tests, in two minutes: [ARGS="-k echo"]
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/python -m pytest -n 2 -m 'not slow'

test-all:  ## run all tests, the slow ones too: [ARGS="-m slow"]
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/python -m pytest -n 2

# A separate target, since measuring coverage doubles the time of the tests.
# With ARGS, which may select some of the tests, the coverage has no lower bound.
coverage:  ## run all tests, and show the lines that they do not run
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/python -m pytest -n 2 --cov $(if $(strip $(ARGS)),--cov-fail-under=0)

check:  ## check format, lint and types
	$(SETUP)
	@.venv/bin/ruff format --check --quiet . || { echo 'format: run .venv/bin/ruff format .' >&2; exit 1; }
	@.venv/bin/ruff check --quiet .
	@exec .venv/bin/mypy

bench:  ## measure speed, and compare with other packages: [ARGS="--quick"]
	$(SETUP)
	$(call with_args,$(ARGS)) .venv/bin/python -m benchmarks

clean:  ## remove .venv, caches and generated files; keep all runs
	@rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* htmlcov build dist docs/reference docs/tutorials
	@find . \( -name .git -o -name lightning_logs \) -prune -o -name __pycache__ -prune -exec rm -rf {} +
