# A newcomer needs `make quickstart` and `make test`.
GO         ?= go
PG_DISTRIB ?= /usr/lib/postgresql/15
SOURCES    := $(shell find cmd fusefs internal repo tenants walredo -name '*.go' -not -name '*_test.go') go.mod go.sum
FUZZTIME   ?= 60s
POINTS     ?= 300
REGRESS_POINTS ?= 200
ONLY       ?=
# The other majors of PostgreSQL that make test runs the core of its tests on, if they are there (.ci/install-postgres),
# and the one that make oracle and make regress run on.
MAJORS     ?= 14 16 17 18 19
MAJOR      ?= 15
CORE       := TestExec$$|TestFromPGData$$|TestPort$$|TestKill|TestBranch|TestStandby$$|TestBaseBackupFormats$$|TestReceiveWAL$$|TestReceive$$|TestPush$$|TestGC$$
CRASHES    ?= 50
VERSION    ?= $(shell .ci/version)

# Tools are pinned here and run by `go run`, so that none of them enters go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
DEADCODE    := golang.org/x/tools/cmd/deadcode@v0.52.0

.PHONY: build deps quickstart test unit lint fuzz oracle regress extensions soak churn crash bench testdata clean

build: bin/zenith

# The binary: one static file, without cgo.
bin/zenith: $(SOURCES) bin/version
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.release=$(VERSION)' -o $@ ./cmd/zenith

# The version that the binary was built with: it changes, and so makes a new binary, only if the version does.
bin/version: FORCE
	@mkdir -p bin; echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
FORCE:

deps:
	@.ci/install-deps
	@.ci/install-headers

# The main job on real data, with explanations, in two minutes: on the newest PostgreSQL that is installed, or on PG_DISTRIB.
quickstart: deps build
	@PG_DISTRIB=$(if $(filter-out file,$(origin PG_DISTRIB)),$(PG_DISTRIB)) docs/quickstart.sh

# All tests: formats, redo, the store, and real postgres on real mounts. Packages with goroutines are
# tested under the race detector. The integration tests drive the binary as it is shipped. The tests of
# mounts run once more on one processor, where other orders of events are likely.
test: deps lint build
	$(GO) test -race -timeout 20m ./repo/... ./tenants/... ./fusefs/... ./cmd/... ./internal/pg/... ./internal/xlog/...
	$(GO) test -timeout 20m ./walredo/... ./internal/... ./integration/...
	GOMAXPROCS=1 $(GO) test -timeout 10m -count=1 ./fusefs/...
	@for major in $(MAJORS); do \
		echo "PostgreSQL $$major"; \
		$(GO) test -timeout 20m ./repo/ingest -run 'TestOracle|TestSpecial|TestCommits|TestCatalog' -pgmajor $$major && \
		$(GO) test -timeout 20m ./integration -run '$(CORE)' -pgmajor $$major || exit 1; \
	done

# The tests that need neither postgres nor a mount.
unit:
	$(GO) test -short ./internal/... ./repo/... ./tenants/... ./walredo/...

lint:
	@out=$$(gofmt -l bench cmd fusefs integration internal repo tenants walredo); [ -z "$$out" ] || { echo "gofmt: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@mkdir -p bin
	$(GO) run $(DEADCODE) -json ./cmd/... >bin/deadcode.json
	$(GO) test -count=1 ./internal/lint -args -deadcode $(CURDIR)/bin/deadcode.json

# Every fuzz target, for FUZZTIME each. With a minute each, all take less than an hour.
fuzz:
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -short -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			$(GO) test -run XXX -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg || exit 1; \
		done; \
	done

# Compares the composed data directory with stock recovery, byte for byte, at POINTS record boundaries. MAJOR=18
# does so with that version.
oracle:
	$(GO) test ./repo/ingest -pgmajor $(MAJOR) -count=1 -v -timeout 3h -run "TestOracle|TestWrap|TestSpecial|TestSecondFile" -oracle.points=$(POINTS) -oracle.seed=0 -oracle.big

# Runs PostgreSQL's own regression and isolation suites on a mount and on an ordinary directory. Compares
# each record of their WAL with pg_waldump, and REGRESS_POINTS states with stock recovery. Then runs the
# suites with an image of each changed block in the WAL, and compares redo with those images. Takes an hour
# and some gigabytes. MAJOR=18 does so with that version: 15 and 18 with their own suites, the others with the
# nearer one's as a load.
regress: deps build
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && mkdir "$$d/corpus" && \
	integration/regress/prepare.sh "$$d" $(MAJOR) && \
	$(GO) test ./integration -pgmajor $(MAJOR) -count=1 -v -timeout 3h -run 'TestRegress$$' -args -regress "$$d" -regress.points $(REGRESS_POINTS) -regress.checks 10 && \
	$(GO) test ./integration -pgmajor $(MAJOR) -count=1 -v -timeout 1h -run TestRegressCorpus -args -regress "$$d" -regress.corpus "$$d/corpus" && \
	$(GO) test ./walredo -pgmajor $(MAJOR) -count=1 -v -timeout 1h -run TestCorpus -args -corpus "$$d/corpus"

# Extensions of Debian over kills, on branches, in the past and on standbys. `make test` runs those that are installed.
extensions: deps build
	@list=$$(.ci/install-extensions) && echo "extensions: $$list" && \
	$(GO) test ./integration -count=1 -v -timeout 30m -run 'TestExtensions|TestForeign|TestCron|TestWal2JSON|TestRewind' -args -extensions "$$list"

# Branches that are made, woken, reset and expire, BRANCHES of them: nothing may be left of them.
churn: BRANCHES ?= 2000
churn: deps build
	$(GO) test ./integration -count=1 -v -timeout 2h -run 'TestChurn$$' -args -churn $(BRANCHES)

# A small production: follows a server under load for two minutes, while the receiver, the page server and
# the server are killed at random. Compares states at twenty random LSNs with stock point-in-time recovery.
soak: deps build
	$(GO) test ./integration -count=1 -v -timeout 30m -run TestSoak -args -soak.points 20 -soak.time 2m -soak.scale 10

# Kills the page server, and cuts the power of a disk that tears and reorders what was not synced, CRASHES times each at
# random moments, while commands of every kind run; judged by what was acknowledged.
crash: deps build
	$(GO) test ./integration -count=1 -v -timeout 12h -run 'TestKillMatrix|TestLossyPowerCut|TestMajorsSideBySide' -args -matrix.rounds $(CRASHES)

# Measures zenith side by side with a peer, and writes bench/results.json. `make bench ONLY=redo` runs one
# benchmark; bench/main.go has their names.
bench: deps build
	@command -v mkfs.xfs >/dev/null && command -v mkfs.btrfs >/dev/null || { echo "bench needs xfsprogs and btrfs-progs (apt-get install xfsprogs btrfs-progs)"; exit 1; }
	$(GO) run ./bench -pg-distrib $(PG_DISTRIB) -only '$(ONLY)'

# Records the WAL of the fixtures anew, which needs postgres: with MAJOR=17 those of that major version alone,
# with MAJOR=17.10 those of the minor release.
testdata: deps
	$(GO) test ./walredo -count=1 -run TestUpdateFixtures -update $(if $(filter file,$(origin MAJOR)),,-case '^$(MAJOR)/')
ifeq ($(origin MAJOR),file)
	$(GO) test ./internal/xlog -count=1 -run UpdateFixtures -update
	$(GO) test ./internal/pgtest -count=1 -run UpdateFixtures -update
endif

clean:
	rm -rf bin
