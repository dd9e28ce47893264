package transport

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"golang.org/x/net/websocket"

	"github.com/xmppd/xmppd/stanza"
)

// What an idle connection costs. The clients run in a process of their own,
// which is this test binary again:
//
//	go test -run '^$' -bench Idle -benchtime 1x ./c2s/transport

const idleEnv = "TRANSPORT_IDLE_CLIENTS" // "kind address count"

// idleKind is one way to serve a connection: it reports each one that is idle.
type idleKind struct {
	name  string
	tls   bool
	ws    bool
	serve func(l net.Listener, cfg *tls.Config, idle chan<- any)
}

var idleKinds = []idleKind{
	{"tcp", false, false, serveIdle},
	{"tls", true, false, serveIdle},
	{"ws", false, true, upgradeIdle},
	{"wss", true, true, upgradeIdle},
	{"ws-gobwas-in-handler", false, true, blockingIdle},
	{"wss-gobwas-in-handler", true, true, blockingIdle},
	{"ws-xnet", false, true, xnetIdle},
	{"wss-xnet", true, true, xnetIdle},
}

// idleConn is what the element layer would own of an idle connection.
type idleConn struct {
	c     Conn
	ready func()
	idle  chan<- any
}

func startIdle(c Conn, idle chan<- any) {
	ic := &idleConn{c: c, idle: idle}
	ic.ready = ic.read
	c.Park(ic.ready)
}

func (ic *idleConn) read() {
	st := new(stanza.Stanza)
	for {
		tok, err := ic.c.Next(st)
		switch {
		case err == ErrAgain:
			ic.c.Release()
			ic.c.Park(ic.ready)
			return
		case err != nil:
			ic.c.Release()
			return
		case tok == stanza.Element:
			_ = ic.c.Write(ic.c.AppendElement(nil, []byte("<iq/>")))
			ic.idle <- ic
		}
	}
}

func serveIdle(l net.Listener, cfg *tls.Config, idle chan<- any) {
	o := &Options{Buffers: new(Buffers)}
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c := NewTCP(nc, o)
		if cfg != nil && c.StartTLS(cfg, nil) != nil {
			continue
		}
		startIdle(c, idle)
	}
}

func upgradeIdle(l net.Listener, cfg *tls.Config, idle chan<- any) {
	o := &Options{Buffers: new(Buffers)}
	http.Serve(NewListener(l, cfg, o), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Upgrade(w, r, o); err == nil {
			startIdle(c, idle)
		}
	}))
}

func maybeTLS(l net.Listener, cfg *tls.Config) net.Listener {
	if cfg == nil {
		return l
	}
	return tls.NewListener(l, cfg)
}

// blockingIdle is the usual way: a goroutine stays in the handler and in Read.
func blockingIdle(l net.Listener, cfg *tls.Config, idle chan<- any) {
	http.Serve(maybeTLS(l, cfg), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up := ws.HTTPUpgrader{Protocol: func(s string) bool { return s == "xmpp" }}
		c, _, _, err := up.Upgrade(r, w)
		for err == nil {
			var op ws.OpCode
			var p []byte
			if p, op, err = wsutil.ReadClientData(c); bytes.HasPrefix(p, []byte("<iq")) {
				wsutil.WriteServerMessage(c, op, []byte("<iq xmlns='jabber:client'/>"))
				idle <- c
			}
		}
	}))
}

func xnetIdle(l net.Listener, cfg *tls.Config, idle chan<- any) {
	http.Serve(maybeTLS(l, cfg), websocket.Server{
		Handshake: func(c *websocket.Config, _ *http.Request) error { c.Protocol = []string{"xmpp"}; return nil },
		Handler: func(c *websocket.Conn) {
			var p string
			for websocket.Message.Receive(c, &p) == nil {
				if strings.HasPrefix(p, "<iq") {
					websocket.Message.Send(c, "<iq xmlns='jabber:client'/>")
					idle <- c
				}
			}
		},
	})
}

// TestIdleClients is the other process.
func TestIdleClients(t *testing.T) {
	args := strings.Fields(os.Getenv(idleEnv))
	if len(args) != 3 {
		t.Skip("runs only as the client of the idle benchmark")
	}
	count, _ := strconv.Atoi(args[2])
	for range count {
		c, err := net.Dial("tcp", args[1])
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(args[0], "tls") || strings.Contains(args[0], "wss") {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		defer c.Close()
		iq := "<iq id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
		if strings.HasPrefix(args[0], "ws") {
			send(t, c, upgradeRequest)
			readUntil(t, c, "\r\n\r\n")
			send(t, c, string(text(wsOpen))+string(text(iq)))
		} else {
			send(t, c, openStream+iq)
		}
		readUntil(t, c, "<iq") // the server has read everything
	}
	fmt.Println("IDLE")
	io.Copy(io.Discard, os.Stdin)
}

func readUntil(t *testing.T, c net.Conn, want string) {
	var got []byte
	for b := make([]byte, 4096); !bytes.Contains(got, []byte(want)); {
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
}

// usage is the live heap with stacks, and the resident set.
func usage() (heap, rss int64) {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	statm, _ := os.ReadFile("/proc/self/statm")
	if f := bytes.Fields(statm); len(f) > 1 {
		rss, _ = strconv.ParseInt(string(f[1]), 10, 64)
	}
	return int64(m.HeapAlloc + m.StackInuse), rss * int64(os.Getpagesize())
}

// measureIdle holds count connections and returns bytes per connection.
func measureIdle(tb testing.TB, kind idleKind, count int) (heap, rss float64) {
	l := listen(tb)
	var cfg *tls.Config
	if kind.tls {
		cfg, _ = certificate(tb)
		cfg.NextProtos = []string{"http/1.1"}
	}
	idle := make(chan any, count)
	conns := make([]any, 0, count)
	heap0, rss0 := usage()
	go kind.serve(l, cfg, idle)
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleClients$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", idleEnv, kind.name, l.Addr(), count))
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	var said strings.Builder
	for lines := bufio.NewScanner(out); ; said.WriteString(lines.Text() + "\n") {
		if !lines.Scan() {
			tb.Fatalf("the clients failed: %s", said.String())
		}
		if lines.Text() == "IDLE" {
			break
		}
	}
	for range count {
		conns = append(conns, <-idle)
	}
	heap1, rss1 := usage()
	runtime.KeepAlive(conns)
	return float64(heap1-heap0) / float64(count), float64(rss1-rss0) / float64(count)
}

func BenchmarkIdle(b *testing.B) {
	for _, kind := range idleKinds {
		b.Run(kind.name, func(b *testing.B) {
			var heap, rss float64
			for range b.N {
				heap, rss = measureIdle(b, kind, 2000)
			}
			b.ReportMetric(heap, "heap+stack-B/conn")
			b.ReportMetric(rss, "RSS-B/conn")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// Idle connections stay small: the goal is 8 KiB with TLS, the limit leaves room
// for the noise of a small number.
func TestIdleMemory(t *testing.T) {
	if raceEnabled || !rawSupported || testing.Short() {
		t.Skip("measures memory")
	}
	heap, _ := measureIdle(t, idleKinds[1], 300)
	t.Logf("%.0f bytes of heap and stack for each idle TLS connection", heap)
	if heap > 10<<10 {
		t.Errorf("an idle TLS connection costs %.0f bytes", heap)
	}
}
