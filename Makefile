# Two commands matter: `make demo` and `make test`. The rest is `make help`.
# Needed: Linux, Rust (rust-toolchain.toml), a C compiler, make. Everything else is installed or asked for (tools/prerequisites.sh).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo check test doc dist soak bench

help: ## this list
	@sed -nE 's/^([a-z]+): ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## everything embedded: sample notes, served, backed up, drilled (FROM=folder, DATA=folder, LISTEN=addr:port, ONCE=1)
	@tools/demo.sh

check: ## what needs no service: format, clippy, structure, licences, pure tests
	@tools/gate.sh check

test: ## the landing gate: all of check, and every test
	@tools/gate.sh test

doc: ## the API documentation of our crates, links checked
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items

dist: ## a tarball for a server: stripped binary, units, sample configuration, checksums
	@tools/dist.sh

soak: ## the long counts; the result goes into docs/soak.md (ONLY=part of a name, SEED=number)
	@tools/soak.sh

bench: ## measures the budgets into docs/performance.md
	@tools/bench.sh
