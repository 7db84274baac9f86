# `make demo` and `make test` need Go and nothing else: integration/cmd/provide finds or makes a Postgres and a Redis.

MODULES := . otelsession integration integration/telemetry bench
TOOL    := go tool -modfile=tools/go.mod
PROVIDE := bin/provide
FUZZTIME ?= 20s

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z\/]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: bin/provide bin/webapp bin/migrate ## Run the demo on http://127.0.0.1:8080 over a Postgres
	@$(PROVIDE) -- sh -c 'bin/migrate up && APP_ENV=development exec bin/webapp'

# The search and the mutants of the cache's protocol have no goroutines: they skip under the race detector and run without.
.PHONY: test
test: bin/provide ## Run all tests, with the race detector, on a Postgres and a Redis
	@$(PROVIDE) -test -- sh -c 'go test -race ./... && go test -count=1 ./internal/coherence && go -C otelsession test -race ./... && go -C integration test -race -count=1 ./... && go -C integration/telemetry test -race -count=1 ./... && go -C bench test -race -count=1 ./...'

# `make test` has these tests in it, and skips them where there is no Chromium.
.PHONY: test/browser
test/browser: bin/provide chromium ## Run the tests in a real browser; pictures go to bin/screenshots
	@PGSESSION_SCREENSHOTS=$(CURDIR)/bin/screenshots $(PROVIDE) -test -no-redis -- go -C integration test -count=1 -v ./browser/...

.PHONY: chromium
chromium:
	@integration/browser/install

.PHONY: test/matrix
test/matrix: bin/provide ## Run the store's and the operators' tests on every Postgres that can be had here
	@for v in 14 15 16 17 18; do \
		echo "== Postgres $$v"; \
		$(PROVIDE) -test -postgres $$v -no-redis -- go -C integration test -race -count=1 ./store/... ./migrate/... ./ops/... || exit 1; \
	done

.PHONY: test/failover
test/failover: ## Kill the primary ROUNDS times (10) under load, for each kind of replication
	@go -C integration test -race -count=1 -timeout 30m -v ./failover -args -rounds $(or $(ROUNDS),10)

# `make test` has these tests in it, and skips them where no Postgres of this machine has Citus.
.PHONY: test/citus
test/citus: ## Run the library on a Citus cluster of three nodes, and measure it beside one Postgres. SHARDS=32
	@go -C integration test -race -count=1 -timeout 20m -v -run TestOnCitus ./citus
	@go -C integration test -count=1 -timeout 20m -v -run TestRates ./citus -args -rates -shards $(or $(SHARDS),32)

.PHONY: simulate
simulate: ## Search the cache's protocol in large scopes and simulate it for DURATION (3m), or SEEDS=n
	@go test ./internal/coherence -count=1 -timeout 0 -v -run 'TestSearch$$|TestSimulation$$|TestMutants$$|TestExceptions$$|TestEmergency|TestUsers|TestExposed' \
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
generate: ## Generate internal/gen from db/queries and db/migrations
	@rm -rf internal/gen
	@$(TOOL) sqlc generate

# sqlc's own diff passes over files that it would no longer generate, so the folder is made anew and git compares.
.PHONY: verify
verify: generate ## Fail when generated code or a go.mod is stale
	@test -z "$$(git status --porcelain -- internal/gen)" || { git status --short -- internal/gen; git --no-pager diff -- internal/gen; echo "internal/gen is stale: make generate, and commit it"; exit 1; }
	@for m in $(MODULES) tools; do (cd $$m && go mod tidy -diff) || { echo "$$m/go.mod is stale: go mod tidy"; exit 1; }; done

# The server of the benchmarks waits for its disk, as one in production does. Its tests need pgbench.
.PHONY: bench
bench: bin/provide ## Measure beside other libraries; writes bench/RESULTS.md. BENCH='-only http' for a part
	@$(PROVIDE) -set fsync=on -set full_page_writes=on -set shared_buffers=6GB -set max_wal_size=8GB -- \
		go -C bench run ./cmd/bench $(if $(BENCH),$(BENCH),-write)

# Autovacuum looks once a minute by default; the hour is compressed, and so is that.
.PHONY: bench/churn
bench/churn: bin/provide ## Put an hour of churn through the table. CHURN='-write' for bench/CHURN.md, or other flags
	@$(PROVIDE) -no-redis -set fsync=on -set full_page_writes=on -set shared_buffers=1GB -set max_wal_size=8GB \
		-set autovacuum_naptime=1s -set autovacuum_vacuum_cost_delay=0 -- \
		go -C bench run ./cmd/churn $(CHURN)

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (20s)
	@for p in sessionstore cache; do for f in $$(grep -rhoE '^func Fuzz[A-Za-z]+' $$p | sed 's/func //' | sort); do \
		go test ./$$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) || exit 1; \
	done; done

# Built, not `go run`: that would turn every exit status into 1 and keep signals to itself.
bin/provide: FORCE
	@go -C integration build -o ../$@ ./cmd/provide

bin/webapp: FORCE
	@go build -o $@ ./examples/webapp

bin/migrate: FORCE
	@go build -o $@ ./cmd/migrate

.PHONY: FORCE
FORCE:
