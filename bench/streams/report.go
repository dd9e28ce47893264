package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// report is a list of named results in the order in which they were added.
type report struct {
	names  []string
	values []any
}

func (r *report) add(name string, value any) {
	r.names = append(r.names, name)
	r.values = append(r.values, value)
}

// latency adds the usual figures, in milliseconds.
func (r *report) latency(name string, l latencies) {
	s := l.summary()
	r.add(name+"_ms_p50", s.P50)
	r.add(name+"_ms_p99", s.P99)
	r.add(name+"_ms_max", s.Max)
}

// cpu adds what n operations between two samples have cost.
func (r *report) cpu(o *options, a, b usage, n int, per string) {
	wall := b.at.Sub(a.at).Seconds()
	cost := func(d time.Duration) float64 { return round(1e3*d.Seconds()/float64(max(n, 1)), 3) }
	if len(o.trees) > 0 {
		used := b.server - a.server
		r.add("server_cpu_ms_per_"+per, cost(used))
		r.add(per+"s_per_server_cpu_s", round(float64(n)/max(used.Seconds(), tick.Seconds()), 0))
		r.add("server_cores", round(used.Seconds()/wall, 2))
	}
	r.add("generator_cpu_ms_per_"+per, cost(b.self-a.self))
	r.machine(a, b)
}

// machine adds what others did meanwhile.
func (r *report) machine(a, b usage) {
	wall := b.at.Sub(a.at).Seconds()
	others := (b.busy - a.busy) - (b.self - a.self) - (b.server - a.server)
	r.add("other_cores", round(max(others.Seconds(), 0)/wall, 2))
	r.add("steal_cores", round((b.steal-a.steal).Seconds()/wall, 2))
}

func (r *report) print(asJSON bool) error {
	var b bytes.Buffer
	for i, name := range r.names {
		if !asJSON {
			fmt.Fprintf(&b, "%-32s %v\n", name, r.values[i])
			continue
		}
		v, err := json.Marshal(r.values[i])
		if err != nil {
			return err
		}
		b.WriteString(map[bool]string{true: "{", false: ", "}[i == 0])
		fmt.Fprintf(&b, "%q: %s", name, v)
	}
	if asJSON {
		b.WriteString("}\n")
	}
	_, err := os.Stdout.Write(b.Bytes())
	return err
}

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}

func milliseconds(d time.Duration) float64 { return round(float64(d)/1e6, 3) }

func mebibytes(n int64) float64 { return round(float64(n)/(1<<20), 1) }

// latencies are single measurements; every run bounds their number.
type latencies []time.Duration

// quantile sorts and returns the smallest value that a share of p does not exceed.
func (l latencies) quantile(p float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	slices.Sort(l)
	i := int(math.Ceil(p*float64(len(l)))) - 1
	return l[min(max(i, 0), len(l)-1)]
}

// summary is what a report tells of latencies, in milliseconds.
type summary struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func (l latencies) summary() summary {
	return summary{milliseconds(l.quantile(.5)), milliseconds(l.quantile(.99)), milliseconds(l.quantile(1))}
}

// tally counts by reason; all methods may be called from any goroutine.
type tally struct {
	mu    sync.Mutex
	count map[string]int
	total int
}

// maxReasons bounds the kinds of errors that are told apart.
const maxReasons = 32

func (t *tally) add(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = make(map[string]int)
	}
	if _, known := t.count[why]; !known && len(t.count) >= maxReasons {
		why = "other"
	}
	t.count[why]++
	t.total++
}

func (t *tally) sum() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total == 0 {
		return "none"
	}
	parts := make([]string, 0, len(t.count))
	for _, why := range slices.Sorted(maps.Keys(t.count)) {
		parts = append(parts, fmt.Sprintf("%s x%d", why, t.count[why]))
	}
	return strings.Join(parts, ", ")
}
