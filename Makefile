VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

.PHONY: run build test lint fuzz bench docs

run: build ## build and serve from ./data
	@XMPPD_DATA_DIR="$${XMPPD_DATA_DIR:-data}" ./bin/xmppd serve

build: ## one static binary, bin/xmppd
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/xmppd ./cmd/xmppd

test: ## install what the tests need, run them all; screenshots are left in bin/_artifacts
	tools/install-test-deps
	rm -rf bin/_artifacts && mkdir -p bin
	go test -race -shuffle=on -timeout 30m -artifacts -outputdir bin ./...
	go test -run Alloc ./... # the race detector allocates too

lint: ## formatting, vet, staticcheck, tidy modules
	tools/lint

fuzz: ## every fuzz target for 60 s each
	tools/fuzz 60s

bench: ## every Go benchmark, with allocations
	tools/bench

docs: ## write docs/CONFIG.md and docs/MODULES.md (a test fails when they are stale)
	go test ./config ./modules/all -run 'Docs|Fresh|Markdown' -update
