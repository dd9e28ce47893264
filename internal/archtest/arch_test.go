// Package archtest proves the import order of the design: a package imports
// only rows above its own.
package archtest

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/xmppd/xmppd/"

// rows is the order, low to high; a trailing slash stands for all below.
var rows = [][]string{
	{"jid", "config"},
	{"stanza", "command"},
	{"session"},
	{"storage"},
	{"storage/sqlite", "storage/postgres", "auth", "push", "cluster"},
	{"modules"},
	{"modules/internal/"},
	{"modules/"},
	{"router"},
	{"web"},
	{"c2s", "c2s/"},
	{"admin"},
	{"modules/all"},
	{"internal/node"},
	{"cmd/", "bench/"},
}

// neighbours are packages of one row that may import each other.
var neighbours = map[string]bool{
	"c2s -> c2s/transport":                                    true, // a part of it
	"modules/internal/entity -> modules/internal/dataform":    true, // entity hashes forms
	"modules/internal/archived -> modules/internal/dataform":  true, // a query is a form
	"modules/internal/archived -> modules/internal/resultset": true, // and a page
}

func row(pkg string) int {
	best, length := -1, -1
	for i, r := range rows {
		for _, name := range r {
			prefix, below := strings.CutSuffix(name, "/")
			if (pkg == prefix && !below || below && strings.HasPrefix(pkg, name)) && len(name) > length {
				best, length = i, len(name)
			}
		}
	}
	return best
}

func TestImportOrder(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for dec.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(pkg, "internal/") && pkg != "internal/node" || strings.HasPrefix(pkg, "storage/storagetest") || strings.HasSuffix(pkg, "moduletest") {
			continue // tests and their helpers
		}
		mine := row(pkg)
		if mine < 0 {
			t.Errorf("%s has no row in the design", pkg)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			other, own := strings.CutPrefix(imp, module)
			if !own || neighbours[pkg+" -> "+other] {
				continue
			}
			if row(other) >= mine || strings.HasPrefix(other, "internal/") && pkg != "cmd/xmppd" {
				t.Errorf("%s (row %d) imports %s (row %d)", pkg, mine, other, row(other))
			}
			if other == "cluster" && strings.HasPrefix(pkg, "modules/") && pkg != "modules/all" {
				t.Errorf("%s imports cluster", pkg)
			}
		}
		for _, imp := range p.Imports {
			if imp == "database/sql" && !strings.HasPrefix(pkg, "storage/") {
				t.Errorf("%s imports %s: SQL lives in the stores", pkg, imp)
			}
		}
	}
	if seen < 25 {
		t.Errorf("only %d packages were looked at", seen)
	}
}
