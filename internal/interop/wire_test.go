package interop

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// element is any XML element.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []element  `xml:",any"`
	Text     string     `xml:",chardata"`
}

func (e *element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e *element) child(name string) *element {
	for i := range e.Children {
		if e.Children[i].XMLName.Local == name {
			return &e.Children[i]
		}
	}
	return nil
}

const nsSM = "urn:xmpp:sm:3"

// wire is a connection of a phone before stanzas flow.
type wire struct {
	*tls.Conn
	d *xml.Decoder
}

// open sends a stream header and reads the answer with its features.
func (w *wire) open(in *bufio.Reader) error {
	w.d = xml.NewDecoder(in)
	if _, err := io.WriteString(w, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"); err != nil {
		return err
	}
	for {
		token, err := w.d.Token()
		if err != nil {
			return err
		}
		if _, ok := token.(xml.StartElement); ok {
			_, err := w.next("features")
			return err
		}
	}
}

var errClosed = errors.New("closed")

// next reads an element, which must have one of the names if there are any.
func (w *wire) next(names ...string) (*element, error) {
	for {
		token, err := w.d.Token()
		if err != nil {
			return nil, err
		}
		switch start := token.(type) {
		case xml.EndElement:
			return nil, errClosed
		case xml.StartElement:
			e := new(element)
			if err := w.d.DecodeElement(e, &start); err != nil {
				return nil, err
			}
			if len(names) > 0 && !slices.Contains(names, e.XMLName.Local) {
				return nil, fmt.Errorf("received %+v instead of %v", e, names)
			}
			return e, nil
		}
	}
}

func (w *wire) ask(stanza string, names ...string) (*element, error) {
	if _, err := io.WriteString(w, stanza); err != nil {
		return nil, err
	}
	return w.next(names...)
}

// connect logs in, resumes the session if there is one, and if that fails
// begins a new one.
func (p *phone) connect(s *server, trust *tls.Config) (o outcome, err error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.addr["c2s_tls"], trust)
	if err != nil {
		return o, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
			err = fmt.Errorf("%s connects: %w", p.name, err)
		}
	}()
	_ = conn.SetDeadline(time.Now().Add(patience))
	w, in := &wire{Conn: conn}, bufio.NewReader(conn)
	if err := w.open(in); err != nil {
		return o, err
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + p.name + "\x00" + password))
	if _, err := w.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plain+"</auth>", "success"); err != nil {
		return o, err
	}
	if err := w.open(in); err != nil {
		return o, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id != "" {
		e, err := w.ask(fmt.Sprintf("<resume xmlns='%s' h='%d' previd='%s'/>", nsSM, p.in, p.id), "resumed", "failed")
		if err != nil {
			return o, err
		}
		o.resumed, o.h = e.XMLName.Local == "resumed", e.attr("h")
		if err := p.settle(e); err != nil {
			return o, err
		}
	}
	if !o.resumed {
		if err := p.begin(w); err != nil {
			return o, err
		}
	}
	_ = conn.SetDeadline(time.Time{})
	p.conn, p.online, p.end, p.down = conn, true, "", make(chan struct{})
	for _, q := range p.queue {
		p.write(q.xml)
	}
	p.pump()
	if !p.plain {
		p.write("<r xmlns='" + nsSM + "'/>")
	}
	go p.read(w, p.down)
	return o, nil
}

// settle drops from the queue what the answer to <resume/> says was handled.
func (p *phone) settle(e *element) error {
	h := e.attr("h")
	if h == "" && e.XMLName.Local == "failed" {
		return nil
	}
	n, err := strconv.ParseUint(h, 10, 32)
	least := p.acked
	if e.XMLName.Local == "failed" {
		least = p.durable // what is not stored goes with the session
	}
	switch {
	case err != nil:
		return err
	case uint32(n) > p.sent || uint32(n) < least:
		return fmt.Errorf("<%s h='%s'/>, but %d stanzas were sent and %d acknowledged before", e.XMLName.Local, h, p.sent, least)
	}
	if p.careless && e.XMLName.Local == "failed" {
		return nil
	}
	p.acknowledge(uint32(n))
	return nil
}

// begin binds and enables stream management. What was not acknowledged of the
// session before is sent again in the new one.
func (p *phone) begin(w *wire) error {
	if _, err := w.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+cmp.Or(p.resource, "phone")+"</resource></bind></iq>", "iq"); err != nil {
		return err
	}
	p.fresh()
	if p.plain {
		_, err := io.WriteString(w, p.hello())
		return err
	}
	e, err := w.ask("<enable xmlns='"+nsSM+"' resume='true'/>", "enabled")
	if err != nil {
		return err
	}
	if p.id = e.attr("id"); p.id == "" || e.attr("resume") == "" {
		return fmt.Errorf("%+v cannot be resumed", e)
	}
	p.queue = slices.DeleteFunc(p.queue, func(q outgo) bool { return !strings.HasPrefix(q.xml, "<message") })
	p.queue = slices.Insert(p.queue, 0, outgo{xml: p.hello()})
	p.in, p.acked, p.durable, p.sent = 0, 0, 0, uint32(len(p.queue))
	return nil
}
