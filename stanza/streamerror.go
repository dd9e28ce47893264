package stanza

// StreamCondition names a stream error (RFC 6120 §4.9.3).
type StreamCondition string

// The defined conditions.
const (
	StreamBadFormat              StreamCondition = "bad-format"
	StreamBadNamespacePrefix     StreamCondition = "bad-namespace-prefix"
	StreamConflict               StreamCondition = "conflict"
	StreamConnectionTimeout      StreamCondition = "connection-timeout"
	StreamHostGone               StreamCondition = "host-gone"
	StreamHostUnknown            StreamCondition = "host-unknown"
	StreamImproperAddressing     StreamCondition = "improper-addressing"
	StreamInternalServerError    StreamCondition = "internal-server-error"
	StreamInvalidFrom            StreamCondition = "invalid-from"
	StreamInvalidNamespace       StreamCondition = "invalid-namespace"
	StreamInvalidXML             StreamCondition = "invalid-xml"
	StreamNotAuthorized          StreamCondition = "not-authorized"
	StreamNotWellFormed          StreamCondition = "not-well-formed"
	StreamPolicyViolation        StreamCondition = "policy-violation"
	StreamRemoteConnectionFailed StreamCondition = "remote-connection-failed"
	StreamReset                  StreamCondition = "reset"
	StreamResourceConstraint     StreamCondition = "resource-constraint"
	StreamRestrictedXML          StreamCondition = "restricted-xml"
	StreamSeeOtherHost           StreamCondition = "see-other-host"
	StreamSystemShutdown         StreamCondition = "system-shutdown"
	StreamUndefinedCondition     StreamCondition = "undefined-condition"
	StreamUnsupportedEncoding    StreamCondition = "unsupported-encoding"
	StreamUnsupportedFeature     StreamCondition = "unsupported-feature"
	StreamUnsupportedStanzaType  StreamCondition = "unsupported-stanza-type"
	StreamUnsupportedVersion     StreamCondition = "unsupported-version"
)

const nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"

// StreamError ends a stream (RFC 6120 §4.9). It is unrecoverable: after it the
// stream is closed.
type StreamError struct {
	Condition StreamCondition
	Text      string // for a person; may be empty
	See       string // the address in <see-other-host/>
	App       []byte // one application-specific element, trusted XML
}

// Error returns the condition and the text.
func (e *StreamError) Error() string {
	if e.Text == "" {
		return string(e.Condition)
	}
	return string(e.Condition) + ": " + e.Text
}

// AppendTo appends <stream:error/>. It declares its prefix, so that it stands
// alone in a WebSocket frame too.
func (e *StreamError) AppendTo(dst []byte) []byte {
	b := NewBuilder(dst)
	b.Open("stream:error", "").Attr("xmlns:stream", NSStream)
	b.Open(string(e.Condition), nsStreamErrors)
	if e.See != "" {
		b.Chars(e.See)
	}
	b.Close()
	if e.Text != "" {
		b.Open("text", nsStreamErrors).Chars(e.Text).Close()
	}
	return b.Raw(e.App).Bytes()
}

func notWellFormed(text string) *StreamError {
	return &StreamError{Condition: StreamNotWellFormed, Text: text}
}

func restricted(text string) *StreamError {
	return &StreamError{Condition: StreamRestrictedXML, Text: text}
}

func tooMuch(text string) *StreamError {
	return &StreamError{Condition: StreamPolicyViolation, Text: text}
}
