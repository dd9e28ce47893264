package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/command"
)

// working is a command that does something else in each test.
func working(fn func(context.Context) (any, error)) command.Command {
	return command.Command{Name: "work", Tags: []string{"test"}, Short: "Works", Result: command.TextOf("text"),
		Run: func(ctx context.Context, _ command.Args) (any, error) { return fn(ctx) }}
}

// Progress comes in order and before the end, which is the same as without it.
func TestProgress(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func() (any, error){
		"result":        func() (any, error) { return "<done>\n", nil },
		"error":         func() (any, error) { return nil, command.Errorf(command.Conflict, "not now") },
		"other error":   func() (any, error) { return nil, errors.New("disk on fire") },
		"wrong form":    func() (any, error) { return 1, nil },
		"usage":         func() (any, error) { return nil, command.Errorf(command.Usage, "too many") },
		"empty result":  func() (any, error) { return "", nil },
		"big result":    func() (any, error) { return strings.Repeat("x", 1<<20), nil },
		"missing thing": func() (any, error) { return nil, command.Errorf(command.NotFound, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, _ := serveWorld(t, newWorld(), slog.New(slog.DiscardHandler), working(func(ctx context.Context) (any, error) {
				for n := range int64(100) {
					command.Progress(ctx, n+1, 100)
				}
				return end()
			}))
			c := admin.Dial(path)
			want, wantErr := c.Call(t.Context(), "work", json.RawMessage(`{}`), nil)
			var seen []int64
			got, err := c.Call(t.Context(), "work", json.RawMessage(`{}`), func(done, of int64) {
				if of != 100 {
					t.Errorf("%d of %d", done, of)
				}
				seen = append(seen, done)
			})
			if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
				t.Errorf("result (-without +with progress):\n%s", diff)
			}
			if diff := cmp.Diff(wantErr, err); diff != "" {
				t.Errorf("error (-without +with progress):\n%s", diff)
			}
			if len(seen) < 2 || seen[0] != 1 || seen[len(seen)-1] != 100 || !slices.IsSorted(seen) {
				t.Errorf("progress: %v", seen)
			}
		})
	}
}

// A command that ends before it has begun fails the same way too.
func TestProgressOfNothing(t *testing.T) {
	t.Parallel()
	path, _ := serveWorld(t, newWorld(), slog.New(slog.DiscardHandler), working(func(context.Context) (any, error) { panic("oh") }))
	c := admin.Dial(path)
	for _, call := range [][2]string{{"dance", `{}`}, {"work", `{`}, {"work", `{"x":1}`}, {"work", `[`}, {"work", `{}`}} {
		_, want := c.Call(t.Context(), call[0], json.RawMessage(call[1]), nil)
		_, got := c.Call(t.Context(), call[0], json.RawMessage(call[1]), func(int64, int64) { t.Errorf("%v shows progress", call) })
		cut := func(err error) string { s, _, _ := strings.Cut(err.Error(), "\n"); return s } // a panic has its stack
		if want == nil || got == nil || cut(got) != cut(want) || command.ExitCode(got) != command.ExitCode(want) {
			t.Errorf("%v: %v, want %v", call, got, want)
		}
	}
}

// The lines on the wire, and how many there are of them.
func TestProgressLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := new(command.Set)
		set.Add(working(func(ctx context.Context) (any, error) {
			for n := range int64(10) {
				command.Progress(ctx, n, 9)
				time.Sleep(60 * time.Millisecond)
			}
			return "done", nil
		}))
		for accept, want := range map[string]string{
			"*/*": `"done"`,
			"application/x-ndjson": `{"progress":{"done":0,"of":9}}
{"progress":{"done":4,"of":9}}
{"progress":{"done":8,"of":9}}
{"progress":{"done":9,"of":9}}
{"result":"done"}`,
		} {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/commands/work", strings.NewReader(`{}`))
			r.Header.Set("Accept", accept)
			admin.CommandHandler(set, slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
			if diff := cmp.Diff(want+"\n", w.Body.String()); diff != "" || w.Code != http.StatusOK {
				t.Errorf("%s: %d (-want +got):\n%s", accept, w.Code, diff)
			}
			if ndjson := accept != "*/*"; w.Flushed != ndjson || (w.Header().Get("Content-Type") == accept) != ndjson {
				t.Errorf("%s: flushed %v, %v", accept, w.Flushed, w.Header())
			}
		}
	})
}

// wire is a listener with one connection.
type wire struct {
	far  chan net.Conn
	done chan struct{}
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.far:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}
func (w *wire) Close() error   { close(w.done); return nil }
func (w *wire) Addr() net.Addr { return &net.UnixAddr{} }

// serveWire serves a command on one connection until the test is over.
func serveWire(t *testing.T, c command.Command) net.Conn {
	set := new(command.Set)
	set.Add(c)
	near, far := net.Pipe()
	w := &wire{make(chan net.Conn, 1), make(chan struct{})}
	w.far <- far
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- admin.ServeCommands(ctx, w, set, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		near.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return near
}

const request = "POST /commands/work HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\nContent-Length: "

// Who asks for progress and does not read it ends the command.
func TestProgressUnread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		conn := serveWire(t, working(func(ctx context.Context) (any, error) {
			for n := int64(0); ctx.Err() == nil; n++ {
				command.Progress(ctx, n, 0)
				time.Sleep(time.Second)
			}
			ended <- ctx.Err()
			return "", ctx.Err()
		}))
		if _, err := io.WriteString(conn, request+"2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// The time that a line has is over with the answer: the connection can be used again.
func TestProgressAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := serveWire(t, working(func(ctx context.Context) (any, error) {
			command.Progress(ctx, 1, 2)
			time.Sleep(time.Hour)
			return "done", nil
		}))
		in := bufio.NewReader(conn)
		for _, req := range []string{request, strings.Replace(request, "application/x-ndjson", "*/*", 1)} {
			if _, err := io.WriteString(conn, req+"2\r\n\r\n{}"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `"done"`) {
				t.Errorf("%s, %v", body, err)
			}
		}
	})
}

// Progress does not wait for what the caller owes: the rest of its request.
func TestProgressOfHalfRequest(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	path, _ := serveWorld(t, newWorld(), slog.New(slog.DiscardHandler), working(func(ctx context.Context) (any, error) {
		command.Progress(ctx, 1, 2)
		<-read
		return "done", ctx.Err()
	}))
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request+"100\r\n\r\n{}"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(resp.Body)
	var got []string
	for range 2 {
		in.Scan()
		if got = append(got, in.Text()); len(got) == 1 {
			close(read)
		}
	}
	if want := []string{`{"progress":{"done":1,"of":2}}`, `{"result":"done"}`}; !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, in.Err())
	}
}

// A server may know nothing of progress, or die on the way.
func TestProgressFromOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ kind, body, want string }{
		{"application/json", `"done"`, `"done" <nil>`},
		{"application/x-ndjson", `{"result":"done"}`, `"done" <nil>`},
		{"application/x-ndjson", `{"news":1}` + "\n" + `{"progress":{"done":1,"of":2}}`, " read the answer of the server: unexpected EOF"},
		{"application/x-ndjson", `{"result":"do`, " read the answer of the server: unexpected EOF"},
		{"application/x-ndjson", ``, " read the answer of the server: unexpected EOF"},
		{"application/x-ndjson", `<html>`, " read the answer of the server: invalid character '<' looking for beginning of value"},
	} {
		path := filepath.Join(socketDir(t), "s")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.kind)
			_, _ = io.WriteString(w, test.body)
		})}
		go func() { _ = server.Serve(ln) }()
		t.Cleanup(func() { server.Close() })
		got, err := admin.Dial(path).Call(t.Context(), "work", json.RawMessage(`{}`), func(int64, int64) {})
		if text := fmt.Sprintf("%s %v", got, err); text != test.want {
			t.Errorf("%s %s: %s, want %s", test.kind, test.body, text, test.want)
		}
	}
}
