package all

import (
	"flag"
	"os"
	"testing"

	"github.com/xmppd/xmppd/config"
)

var update = flag.Bool("update", false, "write docs/MODULES.md and docs/CONFIG.md anew")

func TestDocsAreFresh(t *testing.T) {
	t.Parallel()
	const path = "../../docs/MODULES.md"
	if *update {
		if err := os.WriteFile(path, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Markdown() {
		t.Error("docs/MODULES.md is stale: run make docs")
	}
}

func TestOptionsOfModulesAreChecked(t *testing.T) {
	t.Parallel()
	cfg := config.Defaults()
	cfg.Modules = map[string]map[string]any{"png": {}, "ping": {"interval": "soon"}, "version": {"show_oss": true}}
	if got := Problems(cfg); len(got) != 3 {
		t.Errorf("%d problems, want 3: %v", len(got), got)
	}
	if got := Problems(config.Defaults()); len(got) != 0 {
		t.Errorf("the defaults have problems: %v", got)
	}
}
