package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/stanza"
)

const wsOpen = `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0" xml:lang='de'/>`

// frame makes a client's frame.
func frame(op ws.OpCode, fin bool, payload string) []byte {
	f := ws.NewFrame(op, fin, []byte(payload))
	return ws.MustCompileFrame(ws.MaskFrameInPlaceWith(f, [4]byte{1, 0xfe, 3, 0x80}))
}

func text(payload string) []byte { return frame(ws.OpText, true, payload) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// wsPair is an upgraded connection without the upgrade.
func wsPair(t *testing.T, o *Options) (*WebSocket, net.Conn) {
	server, client := tcpPair(t)
	return NewWebSocket(server, nil, o), client
}

func TestFrames(t *testing.T) {
	t.Parallel()
	long := "<message xmlns='jabber:client'><body>" + strings.Repeat("é", 40_000) + "</body></message>"
	canonical := strings.Replace(long, " xmlns='jabber:client'", "", 1)
	unmasked := ws.MustCompileFrame(ws.NewTextFrame([]byte("<presence/>")))
	reserved := text("<presence/>")
	reserved[0] |= 0x40
	huge := []byte{0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4}
	// Added to what has come, its length would be negative.
	overflow := []byte{0x80, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}
	msb := []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}
	tests := []struct {
		name  string
		send  []byte
		want  []string               // elements behind the header
		cond  stanza.StreamCondition // "": still open
		code  ws.StatusCode          // of our close frame
		reply string                 // frames that come back before the end
	}{
		{name: "two in one packet", send: join(text("<presence/>"), text("<iq type='get' id='1'/>")),
			want: []string{"<presence/>", "<iq type='get' id='1'/>"}},
		{name: "namespace is taken out", send: text("<presence xmlns='jabber:client' id='1'/>"), want: []string{"<presence id='1'/>"}},
		{name: "long", send: text(long), want: []string{canonical}},
		{name: "fragments", send: join(frame(ws.OpText, false, long[:10]), frame(ws.OpContinuation, false, ""),
			frame(ws.OpContinuation, false, long[10:60_001]), frame(ws.OpContinuation, true, long[60_001:]), text("<presence/>")),
			want: []string{canonical, "<presence/>"}},
		{name: "ping", send: join(frame(ws.OpPing, true, "hi"), text("<presence/>")), want: []string{"<presence/>"}, reply: "\x8a\x02hi"},
		{name: "empty ping", send: join(frame(ws.OpPing, true, ""), text("<presence/>")), want: []string{"<presence/>"}, reply: "\x8a\x00"},
		{name: "pong", send: join(frame(ws.OpPong, true, "hi"), text("<presence/>")), want: []string{"<presence/>"}},
		{name: "ping between fragments", send: join(frame(ws.OpText, false, "<pres"), frame(ws.OpPing, true, "x"), frame(ws.OpContinuation, true, "ence/>")),
			want: []string{"<presence/>"}, reply: "\x8a\x01x"},
		{name: "binary", send: frame(ws.OpBinary, true, "<presence/>"), cond: stanza.StreamPolicyViolation, code: 1003},
		{name: "unmasked", send: unmasked, cond: stanza.StreamPolicyViolation, code: 1002},
		{name: "reserved bit", send: reserved, cond: stanza.StreamPolicyViolation, code: 1002},
		{name: "reserved opcode", send: frame(5, true, ""), cond: stanza.StreamPolicyViolation, code: 1002},
		{name: "continuation of nothing", send: frame(ws.OpContinuation, true, "<a/>"), cond: stanza.StreamPolicyViolation, code: 1002},
		{name: "text inside of fragments", send: join(frame(ws.OpText, false, "<a"), text("<b/>")), cond: stanza.StreamPolicyViolation, code: 1002},
		{name: "fragmented ping", send: frame(ws.OpPing, false, "x"), cond: stanza.StreamPolicyViolation, code: 1002},
		{name: "long ping", send: frame(ws.OpPing, true, strings.Repeat("x", 126)), cond: stanza.StreamPolicyViolation, code: 1002},
		{name: "too large", send: huge, cond: stanza.StreamPolicyViolation, code: 1009},
		{name: "absurdly large", send: msb, cond: stanza.StreamPolicyViolation, code: 1002},
		{name: "too large in fragments", send: join(frame(ws.OpText, false, strings.Repeat("<", 99_000)), frame(ws.OpContinuation, false, strings.Repeat("<", 1001))),
			cond: stanza.StreamPolicyViolation, code: 1009},
		{name: "absurdly large fragment", send: join(frame(ws.OpText, false, "<"), overflow), cond: stanza.StreamPolicyViolation, code: 1009},
		{name: "invalid UTF-8", send: text("<message><body>\xff</body></message>"), cond: stanza.StreamUnsupportedEncoding, code: 1007},
		{name: "UTF-8 cut by fragments", send: join(frame(ws.OpText, false, "<message><body>\xc3"), frame(ws.OpContinuation, true, "\xa9</body></message>")),
			want: []string{"<message><body>é</body></message>"}},
		{name: "two elements", send: text("<presence/><presence/>"), cond: stanza.StreamNotWellFormed, code: 1000},
		{name: "half an element", send: text("<message><body>"), cond: stanza.StreamNotWellFormed, code: 1000},
		{name: "white space", send: text(" "), cond: stanza.StreamBadFormat, code: 1000},
		{name: "white space in front", send: text(" <presence/>"), cond: stanza.StreamBadFormat, code: 1000},
		{name: "empty", send: text(""), cond: stanza.StreamBadFormat, code: 1000},
		{name: "declaration", send: text("<?xml version='1.0'?><presence/>"), want: []string{"<presence/>"}},
		{name: "processing instruction", send: text("<?xml-stylesheet href='x'?><presence/>"), cond: stanza.StreamRestrictedXML, code: 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions()
			o.Limits.Bytes = 100_000
			c, client := wsPair(t, o)
			events := serve(c, nil)
			go client.Write(join(text(wsOpen), tt.send))
			wantHeader(t, events)
			for _, want := range tt.want {
				wantElement(t, events, want)
			}
			if tt.cond != "" {
				e := next(t, events)
				var se *stanza.StreamError
				if !errors.As(e.err, &se) {
					t.Fatalf("got %v, want %s", e, tt.cond)
				}
				if se.Condition != tt.cond {
					t.Errorf("got %v, want %s", e, tt.cond)
				}
				c.Finish(se)
				tt.reply = wsText("<stream:error") + wsText("<close ")
			} else {
				tt.code = 1000
				c.Finish(nil)
				tt.reply += wsText("<close ")
			}
			tt.reply += string(ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(tt.code, ""))))
			got, err := io.ReadAll(client)
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.reply, shorten(t, got)); diff != "" {
				t.Errorf("the client read (-want +got):\n%s", diff)
			}
		})
	}
}

// wsText stands for a text frame that begins so.
func wsText(begin string) string { return "[" + begin + "]" }

// shorten replaces whole text frames by their beginnings.
func shorten(t *testing.T, b []byte) string {
	t.Helper()
	var s string
	for len(b) > 0 {
		h, size, err := parseFrameHeader(b)
		if size == 0 || err != nil || h.Masked || !h.Fin {
			t.Fatalf("bad frame %.20q", b)
		}
		end := size + int(h.Length)
		if h.OpCode == ws.OpText {
			name, _, _ := strings.Cut(string(b[size:end]), " ")
			if name == "<close" {
				name += " "
			}
			s += wsText(name)
		} else {
			s += string(b[:end])
		}
		b = b[end:]
	}
	return s
}

func TestWebSocketByteByByte(t *testing.T) {
	t.Parallel()
	c, client := wsPair(t, testOptions())
	events := serve(c, nil)
	all := join(text(wsOpen), frame(ws.OpText, false, "<pres"), frame(ws.OpPing, true, "x"), frame(ws.OpContinuation, true, "ence/>"), text(message(900)),
		text(`<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>`), ws.MustCompileFrame(ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "bye")))))
	go func() {
		for i := range all {
			client.Write(all[i : i+1])
		}
	}()
	wantHeader(t, events)
	if h := c.Header(); h.To != "localhost" || h.Version != "1.0" || h.Lang != "de" {
		t.Errorf("header %+v", h)
	}
	wantElement(t, events, "<presence/>")
	wantElement(t, events, message(900))
	if e := next(t, events); e.tok != stanza.End || e.err != nil {
		t.Errorf("got %v, want the end", e)
	}
	wantError(t, events, io.EOF)
	c.Finish(nil)
	got, _ := io.ReadAll(client)
	if want := "\x8a\x01x\x88\x02\x03\xe9"; string(got) != want { // our close frame repeats 1001; nothing follows
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestWebSocketFirstMessage(t *testing.T) {
	t.Parallel()
	for first, want := range map[string]stanza.StreamCondition{
		"<presence/>":                           stanza.StreamBadFormat,
		"<open to='localhost' version='1.0'/>":  stanza.StreamInvalidNamespace,
		"<open xmlns='x' to='a'/>":              stanza.StreamInvalidNamespace,
		"<stream:stream xmlns:stream='a' to=''": stanza.StreamNotWellFormed,
	} {
		c, client := wsPair(t, testOptions())
		events := serve(c, nil)
		go client.Write(text(first))
		wantError(t, events, streamError(want))
	}
}

func TestWebSocketRestart(t *testing.T) {
	t.Parallel()
	c, client := wsPair(t, testOptions())
	events := serve(c, func(e event) error {
		if strings.HasPrefix(e.raw, "<auth") {
			c.Restart()
			if c.Header().To != "" {
				return errors.New("the old header is still there")
			}
		}
		return nil
	})
	auth := "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
	go client.Write(join(text(wsOpen), text(auth), text(wsOpen), text("<presence/>")))
	wantHeader(t, events)
	wantElement(t, events, auth)
	wantHeader(t, events)
	wantElement(t, events, "<presence/>")
}

func TestAppendElement(t *testing.T) {
	t.Parallel()
	w := new(WebSocket)
	tests := []struct{ in, out string }{
		{"<message to='a'><body/></message>", "<message xmlns='jabber:client' to='a'><body/></message>"},
		{"<presence/>", "<presence xmlns='jabber:client'/>"},
		{"<iq\nid='1'/>", "<iq xmlns='jabber:client'\nid='1'/>"},
		{"<iq>x</iq>", "<iq xmlns='jabber:client'>x</iq>"},
		{"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"},
		{"<messages xmlns='x'/>", "<messages xmlns='x'/>"},
		{"<stream:features><a xmlns='b'/></stream:features>", "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><a xmlns='b'/></stream:features>"},
		{"<stream:features/>", "<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>"},
		{"<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>", "<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>"},
	}
	for _, tt := range tests {
		if got := string(w.AppendElement([]byte("x"), []byte(tt.in))); got != "x"+string(ws.MustCompileFrame(ws.NewTextFrame([]byte(tt.out)))) {
			t.Errorf("%s became %q", tt.in, got)
		}
		if got := string(new(TCP).AppendElement([]byte("x"), []byte(tt.in))); got != "x"+tt.in {
			t.Errorf("%s became %q on TCP", tt.in, got)
		}
	}
	for _, n := range []int{0, 125, 126, 0xffff, 0x10000} {
		f := ws.NewTextFrame(bytes.Repeat([]byte("x"), n))
		if got := appendText(nil, f.Payload); !bytes.Equal(got, ws.MustCompileFrame(f)) {
			t.Errorf("%d bytes: header %x", n, got[:min(len(got), 10)])
		}
	}
	if got := string(w.AppendClose(nil, "wss://b.example/ws?a&b")); got != "\x81\x5f<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' see-other-uri='wss://b.example/ws?a&amp;b'/>" {
		t.Errorf("close: %q", got)
	}
	if got := string(w.AppendOpen(nil, OpenHeader{From: "localhost", ID: "7", Lang: "en"})); got[2:] != "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='7' from='localhost' version='1.0' xml:lang='en'/>" {
		t.Errorf("open: %q", got)
	}
}

// However the writer cuts its bytes, a pong goes between frames.
func TestPongNeverSplitsAFrame(t *testing.T) {
	t.Parallel()
	var all []byte
	for _, n := range []int{1, 126, 70_000, 0, 125} {
		all = appendText(all, bytes.Repeat([]byte("x"), n))
	}
	for _, piece := range []int{1, 2, 3, 7, 100, 5000, len(all)} {
		var f outFrames
		at := map[int]bool{}
		for i := 0; i < len(all); i += piece {
			end := min(i+piece, len(all))
			f.advance(all[i:end])
			if f.boundary() {
				at[end] = true
			}
		}
		pos, want := 0, map[int]bool{}
		for pos < len(all) {
			h, size, _ := parseFrameHeader(all[pos:])
			if pos += size + int(h.Length); pos%piece == 0 || pos == len(all) {
				want[pos] = true
			}
		}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("pieces of %d: %s", piece, diff)
		}
	}

	c, client := wsPair(t, testOptions())
	events := serve(c, nil)
	client.Write(text(wsOpen))
	wantHeader(t, events)
	whole := appendText(nil, []byte("<presence/>"))
	if err := c.Write(whole[:5]); err != nil {
		t.Fatal(err)
	}
	client.Write(join(frame(ws.OpPing, true, "a"), frame(ws.OpPing, true, "b"), text("<presence/>")))
	wantElement(t, events, "<presence/>")
	if err := c.Write(whole[5:]); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(whole)+3)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != string(whole)+"\x8a\x01b" {
		t.Errorf("read %q, %v", got, err)
	}
}
