package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// detached measures what the server keeps for sessions without connection.
func detached(args []string) error {
	o := newOptions("detached").withLogin("sasl2-resume")
	n := o.flags.Int("n", 1000, "sessions")
	batch := o.flags.Int("batch", 0, "cut after this many logins, so that few are connected at a time; 0: after all, and measure them connected too")
	settle := o.flags.Duration("settle", 10*time.Second, "wait before memory is looked at, for the server to give some back")
	online := o.flags.Bool("presence", false, "send presence after the login")
	limit := o.flags.Duration("limit", time.Minute, "how long the server may take to notice that connections are gone")
	admin := o.flags.String("admin", "", "address of a Go server's profiles and metrics: collect garbage first, report the live heap too")
	if err := o.parse(args); err != nil {
		return err
	}
	if err := errors.Join(
		between("n", *n, 1, maxClients),
		between("batch", *batch, 0, maxClients),
		between("settle", *settle, 0, 10*time.Minute),
		between("limit", *limit, 0, 10*time.Minute),
	); err != nil {
		return err
	}
	if !o.kind.resume || len(o.trees) == 0 {
		return errors.New("detached needs -pid and a -kind with resumption")
	}
	m := &memory{o: o, settle: *settle, limit: *limit, online: *online}
	if *admin != "" {
		if err := loopback(*admin); err != nil {
			return err
		}
		m.admin = "http://" + *admin
	}
	return m.measure(o.accounts(*n), *batch)
}

type memory struct {
	o             *options
	settle, limit time.Duration
	online        bool
	admin         string // URL of the server's own view; empty: none
	before        usage
	live          int64 // bytes before the first login
}

func (m *memory) measure(accounts []*account, batch int) error {
	ctx := context.Background()
	live, err := m.collect()
	if err != nil {
		return err
	}
	m.before, m.live = sample(m.o.trees, true), live
	var r report
	r.add("kind", m.o.kindName)
	r.add("sessions", len(accounts))
	r.add("rss_mib_before", mebibytes(m.before.rss))
	size := len(accounts)
	if batch > 0 {
		size = min(batch, size)
	}
	for part := range slices.Chunk(accounts, size) {
		all, err := m.o.connect(ctx, part)
		if err != nil {
			return err
		}
		if m.online {
			for _, s := range all {
				if err := s.send("<presence/>"); err != nil {
					return err
				}
			}
		}
		if batch == 0 {
			pause(ctx, m.settle)
			if err := m.growth(&r, "connected", len(accounts)); err != nil {
				return err
			}
		}
		atOnce(len(all), func(i int) { all[i].cut() })
		if err := m.noticed(ctx); err != nil {
			return err
		}
	}
	pause(ctx, m.settle)
	if err := m.growth(&r, "detached", len(accounts)); err != nil {
		return err
	}
	return r.print(m.o.json)
}

// noticed waits until the server has closed its ends of the connections.
func (m *memory) noticed(ctx context.Context) error {
	const spare = 16 // files of its own that it may have opened meanwhile
	open := 0
	for end := time.Now().Add(m.limit); time.Now().Before(end); pause(ctx, 100*time.Millisecond) {
		open = 0
		for _, pid := range tree(m.o.trees) {
			open += descriptors(pid)
		}
		if open <= m.before.files+spare {
			return nil
		}
	}
	return fmt.Errorf("the server has %d files open, %d before the first login", open, m.before.files)
}

func (m *memory) growth(r *report, name string, n int) error {
	live, err := m.collect()
	if err != nil {
		return err
	}
	now := sample(m.o.trees, true)
	r.add("rss_mib_"+name, mebibytes(now.rss))
	r.add("rss_bytes_per_"+name, (now.rss-m.before.rss)/int64(n))
	r.add("pss_bytes_per_"+name, (now.pss-m.before.pss)/int64(n))
	if m.admin != "" {
		r.add("live_bytes_per_"+name, (live-m.live)/int64(n))
	}
	return nil
}

// collect makes a server in Go collect its garbage, twice because what was
// pooled goes with the second time, and returns the bytes of heap and stacks
// that are left.
func (m *memory) collect() (live int64, err error) {
	if m.admin == "" {
		return 0, nil
	}
	client := &http.Client{Timeout: 30 * time.Second}
	for range 2 {
		if _, err := fetch(client, m.admin+"/debug/pprof/heap?gc=1"); err != nil {
			return 0, err
		}
	}
	metrics, err := fetch(client, m.admin+"/metrics")
	if err != nil {
		return 0, err
	}
	for _, name := range []string{"go_memstats_heap_alloc_bytes", "go_memstats_stack_inuse_bytes"} {
		v, ok := parseMetric(metrics, name)
		if !ok {
			return 0, fmt.Errorf("no %s in the metrics", name)
		}
		live += v
	}
	return live, nil
}

func fetch(client *http.Client, url string) ([]byte, error) {
	const most = 64 << 20
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, most))
}

// parseMetric reads one value of the text format of Prometheus.
func parseMetric(text []byte, name string) (int64, bool) {
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return int64(v), err == nil
		}
	}
	return 0, false
}
