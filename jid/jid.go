// Package jid implements XMPP addresses (RFC 7622) as small comparable values.
//
// A JID is one string and two offsets: its parts, its bare form and its text
// are substrings, so that none of them allocates, and two equal addresses are
// equal under ==. Every JID that exists has been prepared and checked; the
// zero value means "no address".
package jid

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
	mellium "mellium.im/xmpp/jid"
)

// MaxPart is the limit of each part in bytes (RFC 7622 §3.1).
const MaxPart = 1023

// ErrMalformed is wrapped by every error of this package.
var ErrMalformed = errors.New("malformed address")

// JID is an address: localpart@domainpart/resourcepart.
type JID struct {
	s      string
	local  uint16 // length of the localpart; 0: none
	domain uint16 // offset of the end of the domainpart
}

// Parse prepares and checks an address from the wire or from an operator. The
// result does not alias s in a way that matters: strings are immutable, but it
// may share s's memory.
func Parse(s string) (JID, error) {
	if j, ok := parseASCII(s); ok {
		return j, nil
	}
	return parseSlow(s)
}

// MustParse is Parse for constants; it panics on an error.
func MustParse(s string) JID {
	j, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return j
}

// New builds an address out of unprepared parts; local and resource may be empty.
func New(local, domain, resource string) (JID, error) {
	if strings.ContainsAny(local, "@/") || strings.ContainsAny(domain, "@/") || domain == "" {
		return JID{}, fmt.Errorf("%w: %q, %q", ErrMalformed, local, domain)
	}
	s := domain
	if local != "" {
		s = local + "@" + s
	}
	if resource != "" {
		s += "/" + resource
	}
	return Parse(s)
}

// parseASCII accepts the addresses that preparation would leave as they are:
// lower-case ASCII without anything that a profile of RFC 7622 touches. It
// reports false for all others, valid or not.
func parseASCII(s string) (JID, bool) {
	local, i := 0, 0
	for i < len(s) && asciiClass[s[i]]&classLocal != 0 {
		i++
	}
	if i < len(s) && s[i] == '@' {
		if i == 0 || i > MaxPart {
			return JID{}, false
		}
		local = i
		i++
	} else {
		i = 0
	}
	start, label := i, 0
	for ; i < len(s) && s[i] != '/'; i++ {
		switch {
		case s[i] == '.':
			if label == 0 {
				return JID{}, false
			}
			label = 0
		case asciiClass[s[i]]&classDomain == 0, s[i] == '-' && label == 0:
			return JID{}, false
		default:
			label++
			// Four characters in, "xn--" or any "??--" is for IDNA to judge.
			if label > 63 || label == 4 && s[i] == '-' && s[i-1] == '-' || s[i] == '-' && endsLabel(s, i) {
				return JID{}, false
			}
		}
	}
	if label == 0 || i-start > 253 {
		return JID{}, false
	}
	if i == len(s) {
		return JID{s: s, local: uint16(local), domain: uint16(i)}, true
	}
	res := s[i+1:]
	if res == "" || len(res) > MaxPart || res[0] == ' ' || res[len(res)-1] == ' ' {
		return JID{}, false
	}
	for k := 0; k < len(res); k++ {
		if res[k] < 0x20 || res[k] > 0x7e {
			return JID{}, false
		}
	}
	return JID{s: s, local: uint16(local), domain: uint16(i)}, true
}

func endsLabel(s string, i int) bool {
	return i+1 == len(s) || s[i+1] == '.' || s[i+1] == '/'
}

func parseSlow(s string) (JID, error) {
	if len(s) > 3*MaxPart+2 {
		return JID{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(s))
	}
	m, err := mellium.Parse(s)
	if err != nil {
		return JID{}, fmt.Errorf("%w %q: %v", ErrMalformed, s, err)
	}
	local, domain, res := m.Localpart(), m.Domainpart(), m.Resourcepart()
	if domain == "" || len(local) > MaxPart || len(domain) > MaxPart || len(res) > MaxPart {
		return JID{}, fmt.Errorf("%w: %q", ErrMalformed, s)
	}
	if !plausibleDomain(domain) {
		return JID{}, fmt.Errorf("%w: %q", ErrMalformed, s)
	}
	t := m.String()
	end := len(domain)
	if local != "" {
		end += len(local) + 1
	}
	if len(t) < end || res != "" && t[end+1:] != res {
		return JID{}, fmt.Errorf("%w: %q", ErrMalformed, s)
	}
	// Preparation must be stable: what we emit has to mean the same to whoever reads it.
	if again, err := mellium.Parse(t); err != nil || again.String() != t {
		return JID{}, fmt.Errorf("%w: %q", ErrMalformed, s)
	}
	return JID{s: t, local: uint16(len(local)), domain: uint16(end)}, nil
}

// plausibleDomain checks what IDNA processing leaves open: no empty label and
// none above 63 bytes of ASCII; addresses in brackets have been checked before.
func plausibleDomain(d string) bool {
	if d[0] == '[' {
		return true
	}
	for label := range strings.SplitSeq(d, ".") {
		ascii, err := idna.ToASCII(label)
		if err != nil || label == "" || len(ascii) > 63 {
			return false
		}
	}
	return true
}

// String is the address as it stands on the wire, before XML escaping.
func (j JID) String() string { return j.s }

// IsZero reports whether there is no address.
func (j JID) IsZero() bool { return j.s == "" }

// Local is the localpart, empty for a server or component.
func (j JID) Local() string { return j.s[:j.local] }

// Domain is the domainpart.
func (j JID) Domain() string {
	if j.local == 0 {
		return j.s[:j.domain]
	}
	return j.s[j.local+1 : j.domain]
}

// Resource is the resourcepart, empty in a bare address.
func (j JID) Resource() string {
	if int(j.domain) == len(j.s) {
		return ""
	}
	return j.s[j.domain+1:]
}

// Bare is the address without its resource.
func (j JID) Bare() JID { return JID{s: j.s[:j.domain], local: j.local, domain: j.domain} }

// IsBare reports whether the address has no resource.
func (j JID) IsBare() bool { return int(j.domain) == len(j.s) }

// IsFull reports whether the address has a resource.
func (j JID) IsFull() bool { return int(j.domain) < len(j.s) }

// DomainJID is the address of the domain alone.
func (j JID) DomainJID() JID {
	d := j.Domain()
	return JID{s: d, domain: uint16(len(d))}
}

// WithResource is the bare address with a resource, which is prepared first
// (OpaqueString profile, RFC 7622 §3.4).
func (j JID) WithResource(resource string) (JID, error) {
	if resource == "" {
		return JID{}, fmt.Errorf("%w: empty resource", ErrMalformed)
	}
	return Parse(j.s[:j.domain] + "/" + resource)
}

// EqualBytes reports whether b is exactly this address's text. It lets a
// reader skip parsing an address that it has just seen.
func (j JID) EqualBytes(b []byte) bool { return j.s == string(b) }

const (
	classLocal = 1 << iota
	classDomain
)

// asciiClass says which ASCII characters a prepared localpart or domainpart
// holds unchanged (RFC 7622 §3.2, §3.3.1).
var asciiClass = func() (t [256]uint8) {
	for c := 'a'; c <= 'z'; c++ {
		t[c] = classLocal | classDomain
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = classLocal | classDomain
	}
	t['-'] = classLocal | classDomain
	for _, c := range "!#$%()*+,.;=?[\\]^_`{|}~" {
		t[c] |= classLocal
	}
	return
}()
