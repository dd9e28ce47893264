package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
)

const password = "пароль & <secret>"

// request is what a client is to do. Fields that a request does not need are empty.
type request struct {
	N        int    `json:"n"`
	Do       string `json:"do"` // the name of a function in py/client.py and js/client.js
	JID      string `json:"jid,omitempty"`
	Password string `json:"password,omitempty"`
	Resource string `json:"resource,omitempty"`
	Host     string `json:"host,omitempty"`
	Port     int    `json:"port,omitempty"`
	TLS      string `json:"tls,omitempty"`   // starttls or direct
	SM       bool   `json:"sm,omitempty"`    // stream management, where that is not a matter of course
	AsIs     bool   `json:"as_is,omitempty"` // without what the script mends in its library
	Service  string `json:"service,omitempty"`
	CA       string `json:"ca,omitempty"`
	To       string `json:"to,omitempty"`
	Type     string `json:"type,omitempty"`
	ID       string `json:"id,omitempty"`
	Show     string `json:"show,omitempty"`
	Status   string `json:"status,omitempty"`
	Body     string `json:"body,omitempty"`
	Of       string `json:"of,omitempty"` // the id of the message that this one is about
	// Of a query of the archive; times as XEP-0082 has them.
	With    string `json:"with,omitempty"`
	Start   string `json:"start,omitempty"`
	End     string `json:"end,omitempty"`
	Max     int    `json:"max,omitempty"`
	After   string `json:"after,omitempty"`
	Before  string `json:"before,omitempty"`
	Total   int    `json:"total,omitempty"` // the end of several pages
	Reverse bool   `json:"reverse,omitempty"`
	// Of a browser.
	URL  string `json:"url,omitempty"`
	Path string `json:"path,omitempty"`
}

// answer is what came of a request.
type answer struct {
	Reply      int       `json:"reply"`
	Error      string    `json:"error"`
	JID        string    `json:"jid"`
	Mechanism  string    `json:"mechanism"`
	Contacts   []contact `json:"contacts"`
	Name       string    `json:"name"`
	Version    string    `json:"version"`
	UTC        string    `json:"utc"`
	TZO        string    `json:"tzo"`
	Identities []string  `json:"identities"`
	Features   []string  `json:"features"`
	Items      []string  `json:"items"`
	// Of a reconnection, as of a phone's.
	Resumed bool   `json:"resumed"`
	H       string `json:"h"`
	// Of a query of the archive. Index and Count are -1 if there are none.
	Rows     []event `json:"rows"`
	First    string  `json:"first"`
	Last     string  `json:"last"`
	Index    int     `json:"index"`
	Count    int     `json:"count"`
	Complete bool    `json:"complete"`
	// Of a browser: what the page has shown, one state after the other.
	Pages [][]string `json:"pages"`
}

type contact struct {
	JID          string `json:"jid"`
	Subscription string `json:"subscription"`
	Name         string `json:"name"`
	Ask          string `json:"ask"`
}

// event is what a client received without asking, or a message in the archive.
type event struct {
	Event string `json:"event"` // message, copy, presence, roster, acked, unsent, stream-error, disconnected, closed
	From  string `json:"from"`
	Type  string `json:"type"` // of the stanza; the condition of a stream error
	ID    string `json:"id"`
	Show  string `json:"show"`
	Body  string `json:"body"`
	Delay string `json:"delay"`
	To    string `json:"to"` // in the archive only
	// StanzaID is the one by the own account; By has the others' owners.
	StanzaID string   `json:"stanza_id"`
	By       []string `json:"by"`
	Has      []string `json:"has"` // the children of a message, as {namespace}name
	// Status of a presence.
	Status string `json:"status"`
	// Of a roster push, with Name and Ask.
	JID          string `json:"jid"`
	Subscription string `json:"subscription"`
	Ask          string `json:"ask"`
}

// client is one account in somebody's XMPP library. Events come in the order of
// the stream; the channel is closed with the client.
type client interface {
	do(context.Context, request) (answer, error)
	events() <-chan event
	kill()
}

// process is a client in a program of its own.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	seen chan event
	log  buffer

	mu      sync.Mutex
	n       int
	waiting map[int]chan answer // nil when the program has ended
}

func startProcess(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), seen: make(chan event, 4096), waiting: make(map[int]chan answer)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = &p.log
	in, err := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s (`make test` installs it): %v", name, err)
	}
	go p.read(out)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.log.String() != "" {
			t.Logf("%v said:\n%s", p.cmd.Args, p.log.String())
		}
	})
	return p
}

// read hands out what the program prints, until it ends.
func (p *process) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a answer
		var e event
		if json.Unmarshal(lines.Bytes(), &a) != nil || json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintf(&p.log, "not JSON: %s\n", lines.Text())
			continue
		}
		if e.Event != "" {
			p.seen <- e
			continue
		}
		p.mu.Lock()
		if w, ok := p.waiting[a.Reply]; ok {
			w <- a
			delete(p.waiting, a.Reply)
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	for _, w := range p.waiting {
		close(w)
	}
	p.waiting = nil
	p.mu.Unlock()
	close(p.seen)
}

func (p *process) events() <-chan event { return p.seen }

func (p *process) do(ctx context.Context, r request) (answer, error) {
	reply := make(chan answer, 1)
	p.mu.Lock()
	if p.waiting == nil {
		p.mu.Unlock()
		return answer{}, fmt.Errorf("the client has ended: %s", p.log.String())
	}
	p.n++
	r.N = p.n
	p.waiting[r.N] = reply
	p.mu.Unlock()
	line, err := json.Marshal(r)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return answer{}, err
	}
	select {
	case a, ok := <-reply:
		switch {
		case !ok:
			return a, fmt.Errorf("the client has ended: %s", p.log.String())
		case a.Error != "":
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

func (p *process) kill() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
