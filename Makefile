# The targets a person types. `make quickstart` and `make test` are all a newcomer needs.
GO         ?= go
PG_DISTRIB ?= /usr/lib/postgresql/15
SOURCES    := $(shell find cmd fusefs internal repo tenants walredo -name '*.go' -not -name '*_test.go') go.mod

.PHONY: build deps quickstart test unit lint fuzz bench testdata clean

build: bin/zenith

# One static file, no cgo.
bin/zenith: $(SOURCES)
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./cmd/zenith

deps:
	@.ci/install-deps

# The main job on real data, in two minutes, explained as it goes.
quickstart: deps build
	@PG_DISTRIB=$(PG_DISTRIB) docs/quickstart.sh

# Everything: formats, redo, the store, and real postgres on real mounts.
test: deps lint build
	$(GO) test -race -timeout 20m ./...

# What needs neither postgres nor a mount.
unit:
	$(GO) test ./internal/... ./repo/... ./walredo/... -short

lint:
	@out=$$(gofmt -l cmd fusefs internal repo tenants walredo integration); [ -z "$$out" ] || { echo "gofmt: $$out"; exit 1; }
	$(GO) vet ./...

clean:
	rm -rf bin
