package xmpptest

import (
	"errors"
	"os"
)

// ExpectEnd reads a stream error of that condition, the end of the stream and
// of the connection. An empty condition stands for an end without an error.
func (c *Client) ExpectEnd(condition string) {
	c.t.Helper()
	if condition != "" {
		e := c.Next()
		if e.Space != nsStream || e.Name != "error" || e.Child("urn:ietf:params:xml:ns:xmpp-streams", condition) == nil {
			c.t.Fatalf("%s got\n%s\nwant the stream error %s", c, e, condition)
		}
	}
	c.finish()
}

// ExpectLost reads until the connection ends, without the end of the stream
// or any element.
func (c *Client) ExpectLost() {
	c.t.Helper()
	if e, err := c.read(); err == nil {
		c.t.Fatalf("%s: instead of the end of the connection came\n%s", c, e)
	} else if err == ErrEnd || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%s: the connection did not just end: %v", c, err)
	}
}

// Ended reads until the stream ends, and returns its condition: that of a stream
// error, or nothing.
func (c *Client) Ended() (condition string) {
	c.t.Helper()
	for {
		e, err := c.read()
		if err != nil {
			if err != ErrEnd {
				c.t.Fatalf("%s: the stream was not closed: %v", c, err)
			}
			return condition
		}
		if e.Space == nsStream && e.Name == "error" {
			condition = e.Children()[0].Name
		}
	}
}

func (c *Client) finish() {
	c.t.Helper()
	if len(c.queue) > 0 {
		c.t.Fatalf("%s: before the end of the stream came\n%s", c, c.queue[0])
	}
	if e, err := c.read(); err == nil {
		c.t.Fatalf("%s: instead of the end of the stream came\n%s", c, e)
	} else if err != ErrEnd {
		c.t.Fatalf("%s: the stream was not closed: %v", c, err)
	}
	if err := closed(c.w); err != nil {
		c.t.Fatalf("%s: %v", c, err)
	}
	c.w.conn().Close()
}

// ExpectSeeOther reads the <close/> that sends a client of a WebSocket elsewhere
// (RFC 7395 §3.6.1).
func (c *Client) ExpectSeeOther(uri string) {
	c.t.Helper()
	c.deadline()
	for {
		e, err := c.w.next()
		if err != nil {
			if err != ErrEnd || e.Attr("see-other-uri") != uri {
				c.t.Fatalf("want <close/> with see-other-uri %q, got %v\n%s", uri, err, e)
			}
			return
		}
		if e.Space != nsStream || e.Name != "error" { // it may come before
			c.t.Fatalf("instead of <close/> came\n%s", e)
		}
	}
}
