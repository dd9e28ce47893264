package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestClientBehindProxies(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}
	s := New(slog.New(slog.DiscardHandler), func() []netip.Prefix { return proxies })
	for name, c := range map[string]struct {
		remote string
		header map[string]string
		addr   string
		secure bool
	}{
		"direct":                              {"198.51.100.7:1000", nil, "198.51.100.7", false},
		"loopback":                            {"127.0.0.1:1000", nil, "127.0.0.1", true},
		"stranger's header is not believed":   {"198.51.100.7:1000", map[string]string{"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"}, "198.51.100.7", false},
		"loopback's header is not believed":   {"127.0.0.1:1000", map[string]string{"X-Forwarded-For": "10.0.0.1"}, "127.0.0.1", true},
		"proxy":                               {"192.0.2.1:1000", map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}, "203.0.113.9", true},
		"proxy in clear":                      {"192.0.2.1:1000", map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}, "203.0.113.9", false},
		"the client's own hop is not trusted": {"192.0.2.1:1000", map[string]string{"X-Forwarded-For": "1.2.3.4, 203.0.113.9, 192.0.2.2"}, "203.0.113.9", true},
		"forwarded":                           {"[2001:db8::1]:1000", map[string]string{"Forwarded": `for="[2001:db8:5::9]:4711";proto=https;by=203.0.113.43`}, "2001:db8:5::9", true},
		"garbage":                             {"192.0.2.1:1000", map[string]string{"X-Forwarded-For": "unknown"}, "192.0.2.1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.remote
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			got := s.Client(r)
			if got.Proxied != (strings.HasPrefix(c.remote, "192.0.2.1:") || strings.HasPrefix(c.remote, "[2001:db8::1]")) {
				t.Errorf("proxied %v", got.Proxied)
			}
			if got.Addr.String() != c.addr || got.Secure != c.secure {
				t.Errorf("got %v secure=%v, want %s secure=%v", got.Addr, got.Secure, c.addr, c.secure)
			}
		})
	}
}

func TestHostsAreSeparate(t *testing.T) {
	t.Parallel()
	s := New(slog.New(slog.DiscardHandler), func() []netip.Prefix { return nil })
	say := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text)) })
	}
	s.Handle("GET /x", say("any"))
	s.HandleHost("a.example", "GET /x", say("a"))
	for host, want := range map[string]string{"a.example": "a", "b.example": "any"} {
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, httptest.NewRequest("GET", "http://"+host+"/x", nil))
		if w.Body.String() != want {
			t.Errorf("%s: got %q, want %q", host, w.Body.String(), want)
		}
	}
}
