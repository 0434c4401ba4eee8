# The front door. `make` alone lists the targets.
SHELL := /bin/bash
SWIFT ?= swift
PREFIX ?= /usr/local
DESTDIR ?=
STATE_DIR ?=
IMAGES ?= .build/images
RELEASE = .build/release
# The same for `check` and `test`: with other flags the second would build everything again.
IMPORT_CHECK = --explicit-target-dependency-import-check error

.PHONY: help dependencies build image demo run test check fmt docs bench install clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dependencies: ## Install the Debian packages that are missing (asks sudo when not root)
	@deploy/scripts/install-dependencies

build: dependencies ## Build the daemon, the command line and the shim for release
	$(SWIFT) build -c release --product warrend
	$(SWIFT) build -c release --product warren
	$(SWIFT) build -c release --product warren-shim

image: dependencies ## Build the small guest image from Debian packages
	deploy/images/micro/build.sh $(IMAGES)

demo: ## See everything: daemon, tailnet, VMs, login webhook, VM to VM
	@deploy/demo/demo.sh

run: build image ## Start the daemon in the foreground with the default configuration
	$(RELEASE)/warrend $(if $(STATE_DIR),--state-dir $(STATE_DIR))

# One test at a time: emulated guests and short deadlines beside each other on two cores starve whatever waits for an answer.
test: dependencies image ## Build and run every test, real guests included
	WARREN_TEST_IMAGES=$(abspath $(IMAGES)) $(SWIFT) test $(IMPORT_CHECK) --no-parallel

check: dependencies ## Format, floors, imports, configuration and OpenAPI in step with the code
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests
	deploy/scripts/check-floors
	$(SWIFT) build --build-tests $(IMPORT_CHECK)

fmt: ## Format all Swift files in place
	$(SWIFT) format --in-place --recursive Package.swift Sources Tests

docs: ## Build the documentation into .build/docs
	docc convert Sources/WarrenDaemon/Documentation.docc --output-path .build/docs \
	  --fallback-display-name Warren --fallback-bundle-identifier warren

bench: build image ## Measure: prints `name value unit`, beside the peer or limit of each figure
	$(SWIFT) build -c release --product warren-bench
	$(RELEASE)/warren-bench
	deploy/bench/daemon --binaries $(RELEASE) --images $(IMAGES)

install: build image ## Install below $(PREFIX); DESTDIR is honoured
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/warren $(DESTDIR)$(PREFIX)/share/warren/images
	install -m 0755 $(RELEASE)/warrend $(RELEASE)/warren $(DESTDIR)$(PREFIX)/bin/
	install -m 0755 $(RELEASE)/warren-shim $(DESTDIR)$(PREFIX)/libexec/warren/
	cp -r $(IMAGES)/micro $(DESTDIR)$(PREFIX)/share/warren/images/
	install -d $(DESTDIR)/etc/warren
	test -e $(DESTDIR)/etc/warren/warrend.yaml || install -m 0644 config/warrend.yaml $(DESTDIR)/etc/warren/
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' deploy/systemd/warrend.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/warrend.service

clean: ## Remove everything that was built
	rm -rf .build
