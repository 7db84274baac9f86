# `make demo` and `make test` need Go and nothing else: integration/cmd/provide finds or makes a Postgres and a Redis.

MODULES := . otelsession adapters/ginsession adapters/gorillastore examples/webapp integration integration/telemetry bench
TOOL    := go tool -modfile=tools/go.mod
PROVIDE := bin/provide
FUZZTIME ?= 20s

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z\/]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: bin/provide bin/webapp bin/migrate ## Run the demo on http://127.0.0.1:8080 over a Postgres
	@$(PROVIDE) -- sh -c 'bin/migrate up && APP_ENV=development exec bin/webapp'

.PHONY: demo/express
demo/express: bin/provide bin/webapp bin/migrate ## Run the demo beside an Express application, on one row and one cookie
	@clients/express/install
	@$(PROVIDE) -no-redis -- clients/express/example/run

# Tests whose name begins with TestSlow run in test/all: docs/reference/slow-tests.md lists them with their reasons. Neither
# target compiles packages of integration that have no test for it. More tests run at once than there are processors, as
# most wait for a server or a timeout. store takes longest, so it is not the last package, as by its name. `make lint`
# vets, so these don't. Without nomsgpack, gin needs a codec that takes half a minute to compile.
SLOW  := ^TestSlow
TEST  := test -race -vet=off -count=1 -parallel 8 -timeout 30m -tags nomsgpack
FUNCS := grep -rE --include=*_test.go '^func (Test|Fuzz|Example)' --exclude-dir=telemetry
DIRS  := cut -d: -f1 | xargs -n1 dirname | sort -ru
ROOT  := ./adapters ./cache ./cmd ./db ./examples ./internal ./sessionstore

# The search has no goroutine, and the race detector makes it ten times as slow.
.PHONY: test/unit
test/unit: ## Run the tests of the root module that need nothing but Go
	@go test -skip '$(SLOW)' ./...

# provide is built with the race detector too: on a fresh machine its dependencies are compiled once.
.PHONY: test
test: bin/race/provide ## Run the tests but the slow ones, with the race detector, on a Postgres and a Redis
	@failed=0; \
	go test -count=1 -skip '$(SLOW)' ./internal/coherence || failed=1; \
	go $(TEST) -skip '$(SLOW)' $$(go list ./... | grep -v /internal/coherence$$) || failed=1; \
	for m in otelsession adapters/ginsession adapters/gorillastore examples/webapp; do go -C $$m $(TEST) -skip '$(SLOW)' ./... || failed=1; done; \
	quick=$$(cd integration && $(FUNCS) . | grep -vE ':func Test(Slow|Main\b)' | $(DIRS)); \
	bin/race/provide -test -- go -C integration $(TEST) -skip '$(SLOW)' $$quick || failed=1; \
	exit $$failed

.PHONY: test/all
test/all: bin/race/provide ## Run what `make test` left out
	@failed=0; \
	go test -count=1 -run '$(SLOW)' ./internal/coherence || failed=1; \
	slow=$$($(FUNCS) $(ROOT) | grep :func.TestSlow | $(DIRS) | grep -v /coherence); \
	go $(TEST) -run '$(SLOW)' $$slow || failed=1; \
	slow=$$(cd integration && $(FUNCS) . | grep :func.TestSlow | $(DIRS)); \
	bin/race/provide -test -- go -C integration $(TEST) -run '$(SLOW)' $$slow || failed=1; \
	bin/race/provide -test -- go -C integration/telemetry $(TEST) ./... || failed=1; \
	bin/race/provide -test -- go -C bench $(TEST) ./... || failed=1; \
	$(MAKE) test/express || failed=1; \
	exit $$failed

# `make test/all` has these tests in it, and skips them where there is no Chromium.
.PHONY: test/browser
test/browser: bin/provide chromium ## Run the tests in a real browser; pictures go to bin/screenshots
	@PGSESSION_SCREENSHOTS=$(CURDIR)/bin/screenshots $(PROVIDE) -test -no-redis -- go -C integration test -count=1 -v ./browser/...

.PHONY: chromium
chromium:
	@integration/browser/install

# `make test/all` has these tests in it. Without Node.js they skip, unless PGSESSION_NODE is required.
.PHONY: test/express
test/express: bin/provide bin/migrate ## Run the tests of the store for express-session on Node.js
	@clients/express/install || { test "$$PGSESSION_NODE" != required; exit; }; \
	$(PROVIDE) -test -no-redis -- npm --prefix clients/express test --silent

.PHONY: test/matrix
test/matrix: bin/provide ## Run the store's and the operators' tests on every Postgres that can be had here
	@for v in 15 16 17 18; do \
		echo "== Postgres $$v"; \
		$(PROVIDE) -test -postgres $$v -no-redis -- go -C integration test -race -count=1 ./store/... ./migrate/... ./ops/... || exit 1; \
	done

.PHONY: test/failover
test/failover: ## Kill the primary ROUNDS times (10) under load, for each kind of replication
	@go -C integration test -race -count=1 -timeout 30m -v ./failover -args -rounds $(or $(ROUNDS),10)

# `make test/all` has these tests in it, and skips them where no Postgres of this machine has Citus.
# The contract, which runs in three modes of pgx, takes most of the time: each of its tests begins with a TRUNCATE of all
# shards. On 2 cores that are busy with other work, 20 minutes cut it off.
.PHONY: test/citus
test/citus: ## Run the library on a Citus cluster of three nodes, and measure it beside one Postgres. SHARDS=32
	@go -C integration test -race -count=1 -timeout 30m -v -run TestSlowOnCitus ./citus
	@go -C integration test -count=1 -timeout 20m -v -run TestSlowRates ./citus -args -rates -shards $(or $(SHARDS),32)

.PHONY: simulate
simulate: ## Search the cache's protocol in large scopes and simulate it for DURATION (3m), or SEEDS=n
	@go test ./internal/coherence -count=1 -timeout 0 -v -run 'Search$$|TestSimulation$$|Mutants$$|TestExceptions$$|TestEmergency|TestUsers|TestExposed' \
		-large $(if $(SEEDS),-seeds=$(SEEDS),-duration=$(or $(DURATION),3m))

.PHONY: lint
lint: ## Check format, vet and staticcheck; changes nothing
	@unformatted=$$($(TOOL) gofumpt -l $$(git ls-files -co --exclude-standard '*.go' | grep -v '^internal/gen/')); \
		test -z "$$unformatted" || { echo "not formatted: make fmt"; echo "$$unformatted"; exit 1; }
	@go build -o bin/staticcheck -modfile=tools/go.mod honnef.co/go/tools/cmd/staticcheck
	@for m in $(MODULES); do (cd $$m && go vet ./... && $(CURDIR)/bin/staticcheck ./...) || exit 1; done

.PHONY: fmt
fmt: ## Format the code
	@$(TOOL) gofumpt -w $$(git ls-files -co --exclude-standard '*.go' | grep -v '^internal/gen/')

.PHONY: generate
generate: ## Generate internal/gen and the statements of clients/express from db/queries
	@rm -rf internal/gen
	@$(TOOL) sqlc generate
	@go test ./internal/archtest -run '^TestExpressRunsTheStatementsOfTheLibrary$$' -count=1 -args -write-statements >/dev/null

GENERATED := internal/gen clients/express/lib/statements.json

# sqlc's own diff passes over files that it would no longer generate, so the folder is made anew and git compares.
.PHONY: verify
verify: generate ## Fail when generated code or a go.mod is stale
	@test -z "$$(git status --porcelain -- $(GENERATED))" || { git status --short -- $(GENERATED); git --no-pager diff -- $(GENERATED); echo "generated files are stale: make generate, and commit them"; exit 1; }
	@for m in $(MODULES) tools; do (cd $$m && go mod tidy -diff) || { echo "$$m/go.mod is stale: go mod tidy"; exit 1; }; done

# The server of the benchmarks waits for its disk, as one in production does. Its tests need pgbench.
.PHONY: bench
bench: bin/provide ## Measure beside other libraries; writes bench/RESULTS.md. BENCH='-only http' for a part
	@$(PROVIDE) -set fsync=on -set full_page_writes=on -set shared_buffers=6GB -set max_wal_size=8GB -- \
		go -C bench run ./cmd/bench $(if $(BENCH),$(BENCH),-write)

.PHONY: bench/quick
bench/quick: bin/provide ## Measure loads and HTTP in less than 90 s. AGAINST=REVISION compares with that build, in turns
	@$(PROVIDE) -set fsync=on -set full_page_writes=on -set shared_buffers=1GB -set max_wal_size=8GB -- \
		go -C bench run ./cmd/bench -quick $(if $(AGAINST),-against $(AGAINST)) $(BENCH)

# Postgres recovers once in the run. A backend killed by hand is no reason for it to end.
.PHONY: soak
soak: bin/provide ## Keep a site at half of its maximum rate for SOAK minutes (30); fails if something grows by a tenth
	@$(PROVIDE) -set fsync=on -set full_page_writes=on -set max_wal_size=2GB -set autovacuum_naptime=5s \
		-set restart_after_crash=on -- go -C bench run ./cmd/soak -minutes $(or $(SOAK),30)

# Autovacuum looks once a minute by default; the hour is compressed, and so is that.
.PHONY: bench/churn
bench/churn: bin/provide ## Put an hour of churn through the table. CHURN='-write' for bench/CHURN.md, or other flags
	@$(PROVIDE) -no-redis -set fsync=on -set full_page_writes=on -set shared_buffers=1GB -set max_wal_size=8GB \
		-set autovacuum_naptime=1s -set autovacuum_vacuum_cost_delay=0 -- \
		go -C bench run ./cmd/churn $(CHURN)

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (20s)
	@for p in sessionstore cache internal/cached internal/client internal/cookie internal/object; do for f in $$(grep -rhoE '^func Fuzz[A-Za-z]+' $$p | sed 's/func //' | sort); do \
		go test ./$$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) || exit 1; \
	done; done

# Built, not `go run`: that would turn every exit status into 1 and keep signals to itself.
bin/provide: FORCE
	@go -C integration build -o ../$@ ./cmd/provide

bin/race/provide: FORCE
	@go -C integration build -race -o ../$@ ./cmd/provide

bin/webapp: FORCE
	@go -C examples/webapp build -o ../../$@ .

bin/migrate: FORCE
	@go build -o $@ ./cmd/migrate

.PHONY: FORCE
FORCE:
