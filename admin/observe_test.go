package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xmppd/xmppd/admin"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestObserve(t *testing.T) {
	t.Parallel()
	metrics := admin.NewRegistry()
	sent := prometheus.NewCounter(prometheus.CounterOpts{Name: "xmppd_stanzas_total", Help: "Stanzas."})
	metrics.MustRegister(sent)
	sent.Add(7)
	var trouble error
	h := admin.Observe(metrics, []admin.Check{
		{Name: "database", Run: func(context.Context) error { return trouble }},
		{Name: "listeners", Run: func(context.Context) error { return nil }},
	})
	for _, test := range []struct {
		path   string
		status int
		want   string
	}{
		{"/metrics", 200, "xmppd_stanzas_total 7"},
		{"/metrics", 200, "go_goroutines"},
		{"/metrics", 200, "process_open_fds"},
		{"/healthz", 200, "ok\n"},
		{"/readyz", 200, "database: ok\nlisteners: ok\n"},
		{"/debug/pprof/", 200, "goroutine"},
		{"/debug/pprof/heap?debug=1", 200, "heap profile"},
		{"/debug/pprof/cmdline", 200, ""},
		{"/commands", 404, ""},
		{"/", 404, ""},
	} {
		if status, body := get(t, h, test.path); status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s: %d, %.200s", test.path, status, body)
		}
	}
	trouble = errors.New("ping: disk on fire")
	if status, body := get(t, h, "/readyz"); status != 503 || body != "database: ping: disk on fire\nlisteners: ok\n" {
		t.Errorf("not ready: %d, %s", status, body)
	}
	if status, _ := get(t, h, "/healthz"); status != 200 {
		t.Errorf("alive without a database: %d", status)
	}
	if status, body := get(t, admin.Observe(metrics, nil), "/readyz"); status != 200 || body != "ok\n" {
		t.Errorf("no checks: %d, %s", status, body)
	}
}

// A check that hangs makes the server not ready, not silent.
func TestReadyInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		h := admin.Observe(prometheus.NewRegistry(), []admin.Check{
			{Name: "database", Run: func(context.Context) error { <-never; return nil }},
		})
		if status, body := get(t, h, "/readyz"); status != 503 || body != "database: context deadline exceeded\n" {
			t.Errorf("%d, %s", status, body)
		}
		close(never)
	})
}
