package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// talk is a number of pairs who chat at a fixed rate, whatever happens (open
// loop): a message carries the time at which it was due.
type talk struct {
	o        *options
	interval time.Duration // between two messages of one user
	padding  string
	people   []*session
	base     time.Time
	now      atomic.Int32 // index of the present phase; -1: silence

	mu     sync.Mutex
	phases []*phase
	lost   tally
}

// phase is a part of the run that is reported by itself. What was sent in it
// counts there, whenever it arrives.
type phase struct {
	name           string
	sent, received int
	took           latencies
	late           latencies // by how much the generator missed the due time
	floor          latencies // the same over a bare connection, without a server
}

// phaseReport is a phase in JSON.
type phaseReport struct {
	Name     string  `json:"name"`
	Sent     int     `json:"sent"`
	Received int     `json:"received"`
	Latency  summary `json:"latency"`
	Late     summary `json:"late"`
	Floor    summary `json:"floor"`
}

// maxMessages bounds the samples of a run.
const maxMessages = 5_000_000

func chat(args []string) error {
	o := newOptions("chat").withLogin("scram")
	pairs := o.flags.Int("pairs", 50, "pairs of users: 2i and 2i+1")
	rate := o.flags.Float64("rate", 200, "messages per second, over all")
	size := o.flags.Int("size", 100, "bytes of a body")
	length := o.flags.Duration("dur", 10*time.Second, "time")
	follow := o.flags.Bool("follow", false, "read names of phases from the standard input, until it ends")
	if err := o.parse(args); err != nil {
		return err
	}
	if err := errors.Join(
		between("pairs", *pairs, 1, 10_000),
		between("rate", *rate, 0.1, 100_000),
		between("size", *size, 64, 64<<10),
		between("dur", *length, time.Second, 30*time.Minute),
	); err != nil {
		return err
	}
	if *rate*length.Seconds() > maxMessages {
		return fmt.Errorf("more than %d messages", maxMessages)
	}
	t := &talk{o: o, base: time.Now(), interval: time.Duration(2 * float64(*pairs) / *rate * float64(time.Second)), padding: strings.Repeat("x", *size-48)}
	t.now.Store(-1)
	ctx, cancel := context.WithTimeout(context.Background(), *length)
	defer cancel()
	if err := t.login(ctx, o.accounts(2**pairs)); err != nil {
		return err
	}
	if *follow {
		go func() { defer cancel(); t.follow(os.Stdin, os.Stdout) }()
	} else {
		t.enter("all")
	}
	t.run(ctx)
	return t.report()
}

func (t *talk) login(ctx context.Context, accounts []*account) error {
	t.people = make([]*session, len(accounts))
	return each(ctx, len(accounts), t.o.parallel, func(i int) error {
		s, err := t.o.login(ctx, accounts[i], t.o.kind)
		if err != nil {
			return err
		}
		t.people[i] = s
		s.start(t.receive)
		return s.send("<presence/>")
	})
}

// follow takes one name of a phase from each line.
func (t *talk) follow(in io.Reader, out io.Writer) {
	fmt.Fprintln(out, "ready")
	for lines := bufio.NewScanner(in); lines.Scan(); {
		t.enter(lines.Text())
	}
}

func (t *talk) enter(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases = append(t.phases, &phase{name: name})
	t.now.Store(int32(len(t.phases) - 1))
}

// run sends until the context ends, then waits for what is under way.
func (t *talk) run(ctx context.Context) {
	var group sync.WaitGroup
	for i := range t.people {
		group.Go(func() { t.send(ctx, i) })
	}
	group.Go(func() { t.bare(ctx) })
	group.Wait()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && t.underWay() > 0; {
		time.Sleep(20 * time.Millisecond)
	}
	for _, s := range t.people {
		select {
		case <-s.done:
			t.lost.add(reason(s.err))
		default:
			s.cut()
		}
	}
}

func (t *talk) underWay() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.phases {
		n += p.sent - p.received
	}
	return n
}

// send is one user's side of a conversation.
func (t *talk) send(ctx context.Context, i int) {
	to := t.o.account(i^1).name + "@" + t.o.host
	pace(ctx, t.interval, i, len(t.people), func(due time.Time) bool {
		n := t.now.Load()
		if n < 0 {
			return true
		}
		t.mu.Lock()
		p := t.phases[n]
		p.sent++
		p.late = append(p.late, time.Since(due))
		t.mu.Unlock()
		body := stamp{n, due.Sub(t.base)}.String() + t.padding
		err := t.people[i].send("<message to='" + to + "' type='chat'><body>" + body + "</body></message>")
		return err == nil
	})
}

// pace calls fn at equal intervals, i of n evenly shifted against the others.
// When it falls behind it catches up.
func pace(ctx context.Context, interval time.Duration, i, n int, fn func(due time.Time) bool) {
	due := time.Now().Add(interval * time.Duration(i) / time.Duration(n))
	for ; ctx.Err() == nil; due = due.Add(interval) {
		pause(ctx, time.Until(due))
		if ctx.Err() != nil || !fn(due) {
			return
		}
	}
}

func (t *talk) receive(st *stanza.Stanza) {
	body := st.Root().Child(stanza.NSClient, "body").Text()
	s, ok := parseStamp(body)
	if !ok || st.Type == stanza.ErrorType {
		return
	}
	t.took(s, func(p *phase, d time.Duration) {
		p.received++
		p.took = append(p.took, d)
	})
}

func (t *talk) took(s stamp, note func(*phase, time.Duration)) {
	d := time.Since(t.base) - s.due
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(s.phase) < len(t.phases) {
		note(t.phases[s.phase], d)
	}
}

func (t *talk) report() error {
	all := make([]phaseReport, len(t.phases))
	var r report
	for i, p := range t.phases {
		all[i] = phaseReport{p.name, p.sent, p.received, p.took.summary(), p.late.summary(), p.floor.summary()}
		all[i].addTo(&r)
	}
	r.add("chatters_lost", t.lost.String())
	if t.o.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"phases": all, "chatters_lost": t.lost.String()})
	}
	return r.print(false)
}

func (p phaseReport) addTo(r *report) {
	r.add("chat_"+p.Name+"_messages", p.Sent)
	r.add("chat_"+p.Name+"_missing", p.Sent-p.Received)
	r.add("chat_"+p.Name+"_ms_p50", p.Latency.P50)
	r.add("chat_"+p.Name+"_ms_p99", p.Latency.P99)
	r.add("chat_"+p.Name+"_ms_max", p.Latency.Max)
	r.add("chat_"+p.Name+"_floor_ms_p99", p.Floor.P99)
	r.add("chat_"+p.Name+"_late_ms_p99", p.Late.P99)
}
