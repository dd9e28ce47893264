package interop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestBrowser opens a long conversation in Converse.js in Chromium and scrolls back
// to its beginning.
func TestBrowser(t *testing.T) {
	t.Parallel()
	s := serve(t, "sqlite")
	romeo := newUser(t, s, kinds()["slixmpp TLS"], "romeo")
	juliet := newUser(t, s, managed(kinds()["slixmpp TLS"]), "juliet")
	for _, u := range []*user{romeo, juliet} {
		u.login()
		u.do(request{Do: "presence"})
	}
	var want []string
	say := func(from, to *user) string {
		// Converse.js orders messages by their time, in milliseconds.
		for at := time.Now().UnixMilli(); time.Now().UnixMilli() == at; {
			runtime.Gosched()
		}
		want = append(want, fmt.Sprint("number ", len(want)+1))
		from.do(request{Do: "message", To: to.bare, Type: "chat", ID: fmt.Sprint("m", len(want)), Body: want[len(want)-1]})
		return want[len(want)-1]
	}
	for n := range 300 {
		from, to := romeo, juliet
		if n%3 == 0 {
			from, to = to, from
		}
		to.awaitMessage(from.full, say(from, to))
	}
	juliet.noMessage() // and what came is acknowledged
	juliet.close()

	b := startBrowser(t, juliet)
	b.do(request{Do: "chat", To: romeo.bare, Body: want[len(want)-1]})
	b.do(request{Do: "shows", Body: say(romeo, juliet)})
	b.do(request{Do: "screenshot", Path: filepath.Join(t.ArtifactDir(), "newest.png")})
	shown := b.do(request{Do: "shown"}).Items
	if len(shown) == len(want) || !slices.Equal(shown, want[len(want)-len(shown):]) {
		t.Errorf("at first %d of %d messages are shown: %q", len(shown), len(want), shown)
	}
	var pages [][]string
	for at := len(want) - len(shown); at > 0; {
		at = max(at-50, 0)
		pages = append(pages, b.do(request{Do: "back", Body: want[at]}).Pages...)
	}
	pages = append(pages, shown, b.do(request{Do: "shown"}).Items)
	b.do(request{Do: "screenshot", Path: filepath.Join(t.ArtifactDir(), "oldest.png")})
	scrolled(t, pages, want)
	if known := b.do(request{Do: "known", To: romeo.bare}).Items; !slices.Equal(known, want) {
		t.Errorf("%d messages are known instead of %d: %q", len(known), len(want), known)
	}
	b.do(request{Do: "close"})
	t.Logf("screenshots (kept by go test -artifacts): %s", t.ArtifactDir())
}

// scrolled checks what stood on the page, one state after the other: everything, and
// always in order.
func scrolled(t *testing.T, pages [][]string, want []string) {
	seen := make(map[string]bool)
	for _, texts := range pages {
		last := -1
		for _, text := range texts {
			n := slices.Index(want, text)
			if n <= last {
				t.Fatalf("the page shows %q", texts)
			}
			last, seen[text] = n, true
		}
	}
	if len(seen) != len(want) {
		t.Errorf("of %d messages %d were shown", len(want), len(seen))
	}
}

// startBrowser logs in at Converse.js.
func startBrowser(t *testing.T, of *user) *user {
	t.Helper()
	for _, name := range []string{"converse.js", "playwright-core"} {
		if _, err := os.Stat("js/node_modules/" + name); err != nil {
			t.Fatalf("find %s (`make test` installs it): %v", name, err)
		}
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("find a browser (`make test` installs it): %v", err)
	}
	pages := httptest.NewServer(http.FileServer(http.Dir("js")))
	t.Cleanup(pages.Close)
	u := &user{T: t, kind: kind{name: "Converse.js"}, server: of.server, name: of.name, bare: of.bare}
	u.client = startProcess(t, []string{"CHROMIUM=" + chromium}, "node", "js/browser.js")
	t.Cleanup(func() { // before the client is killed
		if t.Failed() {
			_, err := u.try(request{Do: "screenshot", Path: filepath.Join(t.ArtifactDir(), "failed.png")})
			t.Logf("screenshot: %s, %v", t.ArtifactDir(), err)
		}
	})
	u.do(request{Do: "login", URL: pages.URL + "/converse.html", Path: t.TempDir(), JID: u.bare, Password: password,
		Service: fmt.Sprintf("ws://127.0.0.1:%d/ws", u.server.port("http"))})
	return u
}
