package transport

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// parseFrameHeader reads the header of a frame (RFC 6455 §5.2) from the front of
// b; size is 0 when it is not complete yet. gobwas/ws reads one from an
// io.Reader, which must not run dry.
func parseFrameHeader(b []byte) (h ws.Header, size int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Fin = b[0]&0x80 != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = ws.OpCode(b[0] & 0x0f)
	h.Masked = b[1]&0x80 != 0
	size, length := 2, b[1]&0x7f
	switch length {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	end := size
	if h.Masked {
		end += len(h.Mask)
	}
	if len(b) < end {
		return h, 0, nil
	}
	switch length {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		n := binary.BigEndian.Uint64(b[2:])
		if n>>63 != 0 {
			return h, 0, ws.ErrHeaderLengthMSB
		}
		h.Length = int64(n)
	default:
		h.Length = int64(length)
	}
	copy(h.Mask[:], b[size:end])
	return h, end, nil
}

// appendFrameHeader appends the header of a whole, unmasked frame.
func appendFrameHeader(dst []byte, op ws.OpCode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
}

// outFrames follows the frames that are written, whose pieces may end anywhere,
// so that control frames go between them and never into one.
type outFrames struct {
	left   int // bytes of the current frame that are still to come
	header [10]byte
	have   int // bytes of an unfinished header
}

// boundary reports whether the last frame is complete.
func (f *outFrames) boundary() bool { return f.left == 0 && f.have == 0 }

// advance takes note of p.
func (f *outFrames) advance(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, len(p))
			f.left -= n
			p = p[n:]
			continue
		}
		n := copy(f.header[f.have:], p)
		h, size, _ := parseFrameHeader(f.header[:f.have+n])
		if size == 0 {
			f.have += n
			return
		}
		p = p[size-f.have:]
		f.have, f.left = 0, int(h.Length)
	}
}
