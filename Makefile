# Thin: each target is a line or two, and the work is in the scripts and programs that it names.
PROFILE ?= release
TARGET := target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
PREFIX ?= /usr/local
.PHONY: help demo test fuzz bench check check-macos install

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## the whole way, Pi to Mac to cloud and back, on this machine in a temporary folder (PROFILE=dev builds faster)
	cargo build --profile $(PROFILE) --workspace --bins
	$(TARGET)/offsite demo

test: ## all tests with real parts: installs what they need (Debian, as root), makes images, nothing may be skipped
	tests/lab/setup.sh
	cargo build --workspace --all-targets
	tests/lab/dockerd-up.sh run tests/lab/test.sh

fuzz: ## a minute of hostile bytes for every reader; FUZZ_CASES=1000000 for a night of it
	FUZZ_CASES=$(or $(FUZZ_CASES),20000) cargo test -p offsite-tests --test fuzz

bench: ## what it costs against tar, restic and borg: docs/performance.md (SCALE=0.1 is quick; Debian, as root; BENCH_FLAGS="--big")
	tests/lab/setup.sh
	tests/bench/setup.sh
	cargo build --release -p offsite-agent
	tests/lab/dockerd-up.sh run /usr/bin/python3 tests/bench/bench.py $(BENCH_FLAGS)
	$(MAKE) bench-pull

bench-pull: ## the pull's part of it, against rsync, scp, sftp and rclone (PULL_FLAGS="--steps loopback")
	tests/lab/setup.sh
	tests/bench/setup.sh
	cargo build --release -p offsite-agent -p offsite
	/usr/bin/python3 tests/bench/pull.py $(PULL_FLAGS)

check: ## formatting, lints, documentation, dependency directions, links and words
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items
	packaging/check/dependencies.sh
	python3 packaging/check/links.py
	packaging/check/words.sh

check-macos: ## type-check of the workspace for an Apple silicon Mac
	packaging/cross-check.sh mac-check

install: ## both programs to $(PREFIX)/bin, completions and manual pages beside them; `offsite install` and `offsite-agent install` then set up the schedules
	cargo build --profile release --workspace --bins
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 target/release/offsite target/release/offsite-agent $(DESTDIR)$(PREFIX)/bin/
	target/release/offsite man --out $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	target/release/offsite completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/offsite
	target/release/offsite completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_offsite
	target/release/offsite completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/offsite.fish
