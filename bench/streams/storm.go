package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// storm lets N clients lose their connections at once and come back at once.
func storm(args []string) error {
	o := newOptions("storm").withLogin("resume")
	s := &weather{o: o}
	f := o.flags
	n := f.Int("n", 1000, "clients")
	f.IntVar(&s.pairs, "pairs", 50, "pairs who chat meanwhile; they are the users behind the clients")
	f.Float64Var(&s.rate, "rate", 400, "messages per second, over all pairs")
	f.DurationVar(&s.calm, "calm", 5*time.Second, "measured time before and after")
	f.DurationVar(&s.limit, "limit", 2*time.Minute, "give up when not all are back after this time")
	f.DurationVar(&s.backoff, "backoff", 2*time.Second, "wait of a refused client before it tries again, doubled each time up to 30 s, with jitter")
	f.BoolVar(&s.silent, "silent", false, "the server is not told: old connections stay open until all are back")
	if err := o.parse(args); err != nil {
		return err
	}
	if err := errors.Join(
		between("n", *n, 1, maxClients),
		between("pairs", s.pairs, 0, 10_000),
		between("rate", s.rate, 0.1, 10_000),
		between("calm", s.calm, time.Second, time.Minute),
		between("limit", s.limit, time.Second, 10*time.Minute),
		between("backoff", s.backoff, time.Millisecond, 30*time.Second),
	); err != nil {
		return err
	}
	return s.run(o.accounts(*n))
}

type weather struct {
	o                    *options
	pairs                int
	rate                 float64
	calm, limit, backoff time.Duration
	silent               bool

	refused tally
	tries   atomic.Int64
	other   atomic.Int64 // came back in another way than asked for
	mu      sync.Mutex
	back    latencies // from the cut to the session
}

func (s *weather) run(accounts []*account) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.limit+2*s.calm+10*time.Minute)
	defer cancel()
	old, err := s.o.connect(ctx, accounts)
	if err != nil {
		return err
	}
	var bystanders *bystanders
	if s.pairs > 0 {
		if bystanders, err = s.o.bystanders(ctx, len(accounts), s.pairs, s.rate, s.limit+2*s.calm+time.Minute); err != nil {
			return err
		}
		defer bystanders.kill()
	}
	bystanders.enter("before")
	quiet := sample(s.o.trees, true)
	pause(ctx, s.calm)
	lost := unexpected(old)

	bystanders.enter("during")
	a := sample(s.o.trees, false)
	atOnce(len(old), func(i int) {
		if s.silent {
			old[i].stop()
		} else {
			old[i].cut()
		}
	})
	now := s.comeBack(ctx, accounts)
	b := sample(s.o.trees, false)

	bystanders.enter("after")
	pause(ctx, s.calm)
	lost += unexpected(now)
	chat, cerr := bystanders.result()
	for _, c := range append(old, now...) {
		if c != nil {
			c.close()
		}
	}
	return errors.Join(s.report(a, b, quiet, lost, len(accounts), chat), cerr)
}

// unexpected counts sessions that the server has ended by itself.
func unexpected(all []*session) (n int) {
	for _, s := range all {
		if s == nil {
			continue
		}
		select {
		case <-s.done:
			n++
		default:
		}
	}
	return n
}

// comeBack lets all clients in again and returns their sessions, nil for those
// who did not make it.
func (s *weather) comeBack(ctx context.Context, accounts []*account) []*session {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	all := make([]*session, len(accounts))
	begun := time.Now()
	atOnce(len(accounts), func(i int) {
		for try := 0; ctx.Err() == nil; try++ {
			s.tries.Add(1)
			c, err := s.o.login(ctx, accounts[i], s.o.kind)
			if err != nil {
				if ctx.Err() == nil {
					s.refused.add(reason(err))
				}
				pause(ctx, delay(s.backoff, try))
				continue
			}
			s.mu.Lock()
			s.back = append(s.back, time.Since(begun))
			s.mu.Unlock()
			if !c.outcome.is(s.o.kind) {
				s.other.Add(1)
			}
			c.start(nil)
			all[i] = c
			return
		}
	})
	return all
}

// delay is how long a client waits after that many refusals.
func delay(first time.Duration, refusals int) time.Duration {
	const longest = 30 * time.Second
	d := first
	for ; refusals > 0 && d < longest; refusals-- {
		d *= 2
	}
	d = min(d, longest)
	return d/2 + rand.N(d)
}

func (s *weather) report(a, b, quiet usage, lost, n int, chat []phaseReport) error {
	var r report
	r.add("kind", s.o.kindName)
	r.add("mechanism", s.o.passwordOrToken())
	r.add("clients", n)
	r.add("back", len(s.back))
	r.add("back_as_asked", len(s.back)-int(s.other.Load()))
	r.add("all_back_s", round(s.back.quantile(1).Seconds(), 2))
	r.add("back_per_s", round(float64(len(s.back))/max(s.back.quantile(1).Seconds(), 1e-3), 0))
	r.latency("back", s.back)
	r.add("tries", s.tries.Load())
	r.add("refused", s.refused.String())
	r.add("sessions_lost", lost)
	r.cpu(s.o, a, b, len(s.back), "login")
	if len(s.o.trees) > 0 {
		r.add("rss_mib_before", mebibytes(quiet.rss))
		r.add("rss_mib_peak", mebibytes(peak(s.o.trees)))
	}
	for _, p := range chat {
		p.addTo(&r)
	}
	if err := r.print(s.o.json); err != nil {
		return err
	}
	if len(s.back) < n {
		return fmt.Errorf("%d clients did not get in", n-len(s.back))
	}
	return nil
}
