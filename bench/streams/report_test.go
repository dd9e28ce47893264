package main

import (
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred latencies
	for i := 100; i > 0; i-- {
		hundred = append(hundred, time.Duration(i))
	}
	for _, c := range []struct {
		l    latencies
		p    float64
		want time.Duration
	}{
		{nil, .5, 0}, {latencies{7}, .5, 7}, {latencies{7}, .99, 7}, {latencies{9, 1}, .5, 1}, {latencies{9, 1}, 1, 9},
		{hundred, .5, 50}, {hundred, .99, 99}, {hundred, .995, 100}, {hundred, 1, 100}, {hundred, 0, 1},
	} {
		if got := c.l.quantile(c.p); got != c.want {
			t.Errorf("%d values, quantile %v: %d instead of %d", len(c.l), c.p, got, c.want)
		}
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	var l tally
	if l.String() != "none" {
		t.Error(l.String())
	}
	l.add("timeout")
	l.add("busy")
	l.add("timeout")
	if l.String() != "busy x1, timeout x2" || l.sum() != 3 {
		t.Error(l.String(), l.sum())
	}
	for i := range 1000 {
		l.add(strings.Repeat("x", i))
	}
	if len(l.count) > maxReasons+1 || l.sum() != 1003 {
		t.Errorf("%d reasons, %d in all", len(l.count), l.sum())
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	for refusals, want := range []time.Duration{2, 4, 8, 16, 30, 30, 30} {
		want *= time.Second
		for range 100 {
			if d := delay(2*time.Second, refusals); d < want/2 || d >= want*3/2 {
				t.Errorf("after %d refusals: %v, around %v is right", refusals, d, want)
			}
		}
	}
	if d := delay(2*time.Second, 1<<30); d >= 45*time.Second {
		t.Error(d)
	}
}

func TestStamp(t *testing.T) {
	t.Parallel()
	want := stamp{3, 1234567890}
	if got, ok := parseStamp(want.String() + strings.Repeat("x", 40)); !ok || got != want {
		t.Errorf("%v, %v", got, ok)
	}
	if longest := (stamp{1<<31 - 1, 1<<63 - 1}).String(); len(longest) > 48 {
		t.Errorf("%q leaves no room", longest)
	}
	for _, bad := range []string{"", "@", "@1", "@1 2", "@;", "1 2;", "@x 2;", "@-1 2;", "@1 x;", "@99999999999 2;"} {
		if got, ok := parseStamp(bad); ok {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	t.Parallel()
	for addr, ok := range map[string]bool{
		"127.0.0.1:5222": true, "127.9.9.9:1": true, "127.0.0.1": false, "192.0.2.1:5222": false, "localhost:5222": false,
		"[::1]:5222": false, ":5222": false, "0.0.0.0:5222": false, "128.0.0.1:1": false,
	} {
		if err := loopback(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		if got, err := parseKind(k.name); err != nil || got != k.kind {
			t.Errorf("%s: %+v, %v", k.name, got, err)
		}
	}
	if _, err := parseKind("plain"); err == nil {
		t.Error("there is no kind plain")
	}
}
