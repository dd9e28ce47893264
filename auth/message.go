package auth

import (
	"strings"
	"unicode/utf8"
)

// clientFirst is a client-first-message (RFC 5802 §7).
type clientFirst struct {
	gs2     string // the gs2-header with its last comma
	flag    byte   // of channel binding: 'n', 'y' or 'p'
	binding string // the type of channel binding, with 'p'
	authzid string // decoded, empty if absent
	name    string // decoded, not prepared
	nonce   string // the client's
	bare    string // client-first-message-bare as received
}

// parseClientFirst reads
//
//	gs2-cbind-flag "," [ "a=" saslname ] "," "n=" saslname "," "r=" nonce ["," extensions]
func parseClientFirst(message string) (m clientFirst, f *Failure) {
	if !plausible(message) {
		return m, malformed("invalid characters")
	}
	flag, rest, ok1 := strings.Cut(message, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	switch {
	case !ok1 || !ok2:
		return m, malformed("incomplete message")
	case strings.HasPrefix(flag, "p="):
		if m.binding = flag[2:]; !isBindingName(m.binding) {
			return m, malformed("invalid channel binding type")
		}
	case flag != "n" && flag != "y":
		return m, malformed("invalid channel binding flag")
	}
	m.flag = flag[0]
	m.gs2, m.bare = message[:len(message)-len(bare)], bare
	if authzid != "" {
		if m.authzid, f = nameAttribute(authzid, 'a'); f != nil {
			return m, f
		}
	}
	name, rest, ok := strings.Cut(bare, ",")
	if strings.HasPrefix(name, "m=") {
		return m, malformed("extension not supported")
	}
	if !ok {
		return m, malformed("incomplete message")
	}
	if m.name, f = nameAttribute(name, 'n'); f != nil {
		return m, f
	}
	m.nonce, f = nonceAtEnd(rest)
	return m, f
}

// clientFinal is a client-final-message (RFC 5802 §7).
type clientFinal struct {
	binding      []byte // cbind-input, decoded
	nonce        string
	proof        []byte // decoded, of any length
	withoutProof string // client-final-message-without-proof as received
}

// parseClientFinal reads
//
//	"c=" base64 "," "r=" nonce ["," extensions] "," "p=" base64
func parseClientFinal(message string) (m clientFinal, f *Failure) {
	if !plausible(message) {
		return m, malformed("invalid characters")
	}
	i := strings.LastIndexByte(message, ',')
	if i < 0 {
		return m, malformed("incomplete message")
	}
	m.withoutProof = message[:i]
	if m.proof, f = base64Attribute(message[i+1:], 'p'); f != nil {
		return m, f
	}
	binding, rest, ok := strings.Cut(m.withoutProof, ",")
	if !ok {
		return m, malformed("incomplete message")
	}
	if m.binding, f = base64Attribute(binding, 'c'); f != nil {
		return m, f
	}
	m.nonce, f = nonceAtEnd(rest)
	return m, f
}

// nonceAtEnd reads the nonce and the extensions that may follow it.
func nonceAtEnd(s string) (nonce string, f *Failure) {
	attribute, extensions, more := strings.Cut(s, ",")
	if nonce, f = nonceAttribute(attribute); f == nil && more {
		f = checkExtensions(extensions)
	}
	return nonce, f
}

// plausible checks what holds for all values: UTF-8 without NUL.
func plausible(message string) bool {
	return utf8.ValidString(message) && strings.IndexByte(message, 0) < 0
}

// attribute returns the value of attr if that has the name and any value.
func attribute(attr string, name byte) (string, bool) {
	if len(attr) < 3 || attr[0] != name || attr[1] != '=' {
		return "", false
	}
	return attr[2:], true
}

// nameAttribute decodes a saslname: "=2C" is a comma, "=3D" an equals sign and
// any other "=" an error.
func nameAttribute(attr string, name byte) (string, *Failure) {
	value, ok := attribute(attr, name)
	if !ok {
		return "", malformed("attribute " + string(rune(name)) + " expected")
	}
	if strings.IndexByte(value, '=') < 0 {
		return value, nil
	}
	var out strings.Builder
	for {
		head, tail, found := strings.Cut(value, "=")
		out.WriteString(head)
		switch {
		case !found:
			return out.String(), nil
		case strings.HasPrefix(tail, "2C"):
			out.WriteByte(',')
		case strings.HasPrefix(tail, "3D"):
			out.WriteByte('=')
		default:
			return "", malformed("invalid escape in a name")
		}
		value = tail[2:]
	}
}

// nonceAttribute checks that a nonce is printable ASCII.
func nonceAttribute(attr string) (string, *Failure) {
	value, ok := attribute(attr, 'r')
	if !ok {
		return "", malformed("attribute r expected")
	}
	for i := 0; i < len(value); i++ {
		if value[i] < 0x21 || value[i] > 0x7e {
			return "", malformed("nonce not printable")
		}
	}
	return value, nil
}

func base64Attribute(attr string, name byte) ([]byte, *Failure) {
	value, ok := attribute(attr, name)
	if !ok {
		return nil, malformed("attribute " + string(rune(name)) + " expected")
	}
	b, err := decode64([]byte(value))
	if err != nil {
		return nil, malformed("invalid base64")
	}
	return b, nil
}

// checkExtensions lets optional extensions pass, which have to be ignored
// (RFC 5802 §5.1), but none under a name that has another meaning: "m" is a
// mandatory one, which nobody here knows.
func checkExtensions(list string) *Failure {
	for attr := range strings.SplitSeq(list, ",") {
		if len(attr) < 3 || attr[1] != '=' || !isAlpha(attr[0]) || strings.IndexByte("aceimnprsv", attr[0]) >= 0 {
			return malformed("extension not supported")
		}
	}
	return nil
}

// isBindingName is cb-name.
func isBindingName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlpha(c) && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return s != ""
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
