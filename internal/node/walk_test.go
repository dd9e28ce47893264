package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
)

func TestWalk(t *testing.T) {
	cfg, problems := config.Load("", []string{"XMPPD_DATA_DIR=" + t.TempDir(), "XMPPD_LISTEN_C2S=127.0.0.1:15222", "XMPPD_LISTEN_HTTP=127.0.0.1:15280", "XMPPD_LISTEN_C2S_TLS=127.0.0.1:15223", "XMPPD_LISTEN_HTTPS=", "XMPPD_LISTEN_ADMIN="})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	n, err := Start(context.Background(), Options{Config: cfg, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		t.Fatal(err)
	}
	creds, err := n.auth.Derive(context.Background(), "pass")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := n.db.CreateAccount(context.Background(), jid.MustParse(fmt.Sprintf("u%d@localhost", i)), creds); err != nil {
			t.Fatal(err)
		}
	}
	d, _ := time.ParseDuration(os.Getenv("WALK"))
	time.Sleep(d)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}
