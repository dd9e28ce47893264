package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const nsRegister = "jabber:iq:register"

// register makes accounts by XEP-0077, several on each connection.
func register(args []string) error {
	o := newOptions("register")
	n := o.flags.Int("n", 1000, "users")
	batch := o.flags.Int("batch", 50, "users for each connection")
	o.flags.IntVar(&o.parallel, "conc", 4, "connections at a time")
	if err := o.parse(args); err != nil {
		return err
	}
	if err := between("n", *n, 1, maxClients); err != nil {
		return err
	}
	var made, there atomic.Int64
	begun := time.Now()
	batches := slices.Collect(slices.Chunk(o.accounts(*n), max(*batch, 1)))
	err := each(context.Background(), len(batches), o.parallel, func(i int) error {
		return o.register(batches[i], &made, &there)
	})
	var r report
	r.add("made", made.Load())
	r.add("there_already", there.Load())
	r.add("per_s", round(float64(made.Load())/time.Since(begun).Seconds(), 1))
	if perr := r.print(o.json); err == nil {
		err = perr
	}
	return err
}

func (o *options) register(users []*account, made, there *atomic.Int64) error {
	ctx := context.Background()
	w, err := o.dial(ctx, users[0].index)
	if err != nil {
		return err
	}
	defer w.close()
	d := &dialogue{wire: w, o: o, account: users[0]}
	if o.security == "starttls" {
		if err := d.startTLS(); err != nil {
			return err
		}
	}
	if _, err := d.features(); err != nil {
		return err
	}
	for i, a := range users {
		w.within(o.timeout)
		iq := stanza.Build("iq").Attr("type", "set").Attr("id", strconv.Itoa(i)).Attr("to", o.host)
		iq.Open("query", nsRegister).Text("username", a.name).Text("password", o.password)
		if err := d.send(string(iq.Bytes())); err != nil {
			return err
		}
		answer, err := d.want(stanza.NSClient, "iq")
		if err != nil {
			return err
		}
		switch e := answer.Child(stanza.NSClient, "error"); {
		case !e.OK():
			made.Add(1)
		case e.Child(nsStanzas, "conflict").OK():
			there.Add(1)
		default:
			return fmt.Errorf("register %s: %.300s", a.name, e.Raw())
		}
	}
	return nil
}
