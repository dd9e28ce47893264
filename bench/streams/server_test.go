package main

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// Every kind against a server of this repository.
func TestLogins(t *testing.T) {
	t.Parallel()
	srv := xmpptest.Start(t, xmpptest.Options{Config: "registration:\n  enabled: true\n  per_address_per_hour: 0\n"})
	for i, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			o := newOptions("test").withLogin(k.name)
			if err := o.parse([]string{"-addr", srv.Addr(t, "c2s"), "-sources", "0"}); err != nil {
				t.Fatal(err)
			}
			a := o.account(i)
			var made atomic.Int64
			if err := o.register([]*account{a}, &made, new(atomic.Int64)); err != nil || made.Load() != 1 {
				t.Fatalf("registered %d, %v", made.Load(), err)
			}
			for try := range 3 { // the first time there is neither token nor session
				s, err := o.login(context.Background(), a, k.kind)
				if err != nil {
					t.Fatal(err)
				}
				if try > 0 && !s.outcome.is(k.kind) {
					t.Errorf("login %d was %+v", try, s.outcome)
				}
				if k.kind.resume {
					s.start(nil)
					s.cut()
				} else {
					s.end()
				}
			}
		})
	}
}
