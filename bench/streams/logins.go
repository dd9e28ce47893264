package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// logins measures full logins: TCP, a whole TLS handshake, the login, the end.
func logins(args []string) error {
	o := newOptions("logins").withLogin("scram")
	users := o.flags.Int("users", 200, "log these in, one after the other")
	length := o.flags.Duration("dur", 10*time.Second, "measured time")
	warm := o.flags.Duration("warm", 2*time.Second, "time before that")
	if err := o.parse(args); err != nil {
		return err
	}
	if err := errors.Join(
		between("users", *users, 1, maxClients),
		between("dur", *length, time.Second, 10*time.Minute),
		between("warm", *warm, 0, time.Minute),
	); err != nil {
		return err
	}
	t := &turnstile{o: o, accounts: o.accounts(*users)}
	// Salted passwords, tokens and sessions are got before anything is measured.
	if err := each(context.Background(), *users, o.parallel, func(i int) error { return t.once(t.accounts[i]) }); err != nil {
		return err
	}
	return t.measure(*warm, *length)
}

// turnstile logs accounts in and out.
type turnstile struct {
	o        *options
	accounts []*account

	measuring atomic.Bool
	failed    tally

	mu    sync.Mutex
	took  latencies
	other int // logins of another kind than asked for, such as a refused resumption
}

// maxFailures ends a run that gets nowhere.
const maxFailures = 100

func (t *turnstile) measure(warm, length time.Duration) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var group sync.WaitGroup
	workers := min(max(t.o.parallel, 1), len(t.accounts))
	for w := range workers {
		group.Go(func() {
			for i := w; ctx.Err() == nil && t.failed.sum() < maxFailures; i += workers {
				if i >= len(t.accounts) {
					i = w
				}
				if err := t.once(t.accounts[i]); err != nil {
					t.failed.add(reason(err))
				}
			}
		})
	}
	pause(ctx, warm)
	a := sample(t.o.trees, false)
	t.measuring.Store(true)
	pause(ctx, length)
	t.measuring.Store(false)
	b := sample(t.o.trees, false)
	cancel()
	group.Wait()

	var r report
	r.add("kind", t.o.kindName)
	r.add("mechanism", t.o.passwordOrToken())
	r.add("tls", t.o.security)
	r.add("conc", t.o.parallel)
	r.add("logins", len(t.took))
	r.add("logins_per_s", round(float64(len(t.took))/b.at.Sub(a.at).Seconds(), 1))
	r.add("not_as_asked", t.other)
	r.add("failed", t.failed.String())
	r.cpu(t.o, a, b, len(t.took), "login")
	r.latency("login", t.took)
	return r.print(t.o.json)
}

func (o *options) passwordOrToken() string {
	if o.kind.fast {
		return o.tokenMechanism
	}
	return o.mechanism
}

// once logs an account in and out. A session that is to be resumed is left
// behind, the others are ended.
func (t *turnstile) once(a *account) error {
	measured := t.measuring.Load()
	begun := time.Now()
	s, err := t.o.login(context.Background(), a, t.o.kind)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	if t.o.kind.resume {
		s.close()
	} else {
		s.end()
	}
	if measured && t.measuring.Load() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.took = append(t.took, took)
		if !s.outcome.is(t.o.kind) {
			t.other++
		}
	}
	return nil
}
