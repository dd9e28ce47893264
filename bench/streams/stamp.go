package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// stamp is at the beginning of each body: the phase in which the message was
// due, and when.
type stamp struct {
	phase int32
	due   time.Duration // since the base of the talk
}

const stampMark = "@"

func (s stamp) String() string {
	return fmt.Sprintf("%s%d %d;", stampMark, s.phase, int64(s.due))
}

func parseStamp(body string) (stamp, bool) {
	text, _, end := strings.Cut(body, ";")
	text, mark := strings.CutPrefix(text, stampMark)
	phase, due, two := strings.Cut(text, " ")
	n, err1 := strconv.ParseInt(phase, 10, 32)
	d, err2 := strconv.ParseInt(due, 10, 64)
	if !end || !mark || !two || err1 != nil || err2 != nil || n < 0 {
		return stamp{}, false
	}
	return stamp{int32(n), time.Duration(d)}, true
}

// bare sends stamps over a connection to ourselves while the talk goes on: what
// the machine makes of one way without any server.
func (t *talk) bare(ctx context.Context) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return
	}
	defer l.Close()
	out, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		return
	}
	defer in.Close()
	go t.echo(in)
	pace(ctx, 10*time.Millisecond, 0, 1, func(due time.Time) bool {
		if n := t.now.Load(); n >= 0 {
			_, err = fmt.Fprint(out, stamp{n, due.Sub(t.base)})
		}
		return err == nil
	})
}

func (t *talk) echo(in net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := in.Read(b)
		if err != nil {
			return
		}
		for text := range strings.SplitAfterSeq(string(b[:n]), ";") {
			if s, ok := parseStamp(text); ok {
				t.took(s, func(p *phase, d time.Duration) { p.floor = append(p.floor, d) })
			}
		}
	}
}
