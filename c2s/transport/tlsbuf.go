package transport

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// tls.Conn keeps its largest record buffer, and that of the handshake, for as
// long as it lives. This file lends it a pooled buffer for each burst instead.
// It looks at unexported fields of crypto/tls; where Go has changed them it does
// nothing, and TestRecordBufferIsReleased says so.

// recordFields are the offsets of the fields in tls.Conn; ok is false when they
// are not what they were.
type recordFields struct {
	rawInput, input, hand uintptr
	ok                    bool
}

var recordLayout = findRecordFields()

func findRecordFields() recordFields {
	conn := reflect.TypeFor[tls.Conn]()
	raw, ok1 := conn.FieldByName("rawInput")
	in, ok2 := conn.FieldByName("input")
	hand, ok3 := conn.FieldByName("hand")
	return recordFields{
		rawInput: raw.Offset, input: in.Offset, hand: hand.Offset,
		ok: ok1 && ok2 && ok3 && raw.Type == reflect.TypeFor[bytes.Buffer]() &&
			in.Type == reflect.TypeFor[bytes.Reader]() && hand.Type == reflect.TypeFor[bytes.Buffer](),
	}
}

func recordBuffers(c *tls.Conn) (raw *bytes.Buffer, in *bytes.Reader, hand *bytes.Buffer) {
	p := unsafe.Pointer(c)
	return (*bytes.Buffer)(unsafe.Add(p, recordLayout.rawInput)),
		(*bytes.Reader)(unsafe.Add(p, recordLayout.input)),
		(*bytes.Buffer)(unsafe.Add(p, recordLayout.hand))
}

// lendRecord gives the connection a buffer for a whole record if it has none.
// Only the goroutine that reads may call it.
func lendRecord(c *tls.Conn, p *Buffers) {
	if !recordLayout.ok {
		return
	}
	if raw, _, _ := recordBuffers(c); raw.Cap() == 0 {
		*raw = *bytes.NewBuffer(p.getRecord()[:0])
	}
}

// recordsEmpty reports whether the connection is known to hold nothing unread.
func recordsEmpty(c *tls.Conn) bool {
	if !recordLayout.ok {
		return false
	}
	raw, in, _ := recordBuffers(c)
	return raw.Len() == 0 && in.Len() == 0
}

// releaseRecord takes the buffers back once all is read. The beginning of an
// unfinished record moves to a buffer of its size.
func releaseRecord(c *tls.Conn, p *Buffers) {
	if !recordLayout.ok {
		return
	}
	raw, in, hand := recordBuffers(c)
	if in.Len() > 0 { // decrypted data lies in rawInput's memory
		return
	}
	in.Reset(nil)
	if hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
	rest := raw.Bytes()
	if len(rest) > recordBuffer/4 || (len(rest) > 0 && raw.Cap() < recordBuffer) {
		return
	}
	var kept bytes.Buffer
	kept.Write(rest)
	raw.Reset()
	p.putRecord(raw.AvailableBuffer())
	*raw = kept
}
