package xmpptest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
)

// log is a slog.Handler that keeps what the server says at level error, and what
// it must not say at any level: passwords and tokens, what proves to know them, and bodies.
type log struct {
	expected []string

	mu    sync.Mutex
	lines []string
}

// Enabled implements slog.Handler.
func (l *log) Enabled(context.Context, slog.Level) bool { return true }

// WithGroup implements slog.Handler.
func (l *log) WithGroup(string) slog.Handler { return l }

// WithAttrs implements slog.Handler.
func (l *log) WithAttrs(attrs []slog.Attr) slog.Handler { return &sublog{l, attrs} }

// Handle implements slog.Handler.
func (l *log) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	if r.Level < slog.LevelError && !secret(line) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// errors are the lines that no test expected.
func (l *log) errors() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, line := range l.lines {
		if !l.expects(line) {
			out = append(out, line)
		}
	}
	return out
}

// secret reports whether a line holds what nobody but the clients may read.
func secret(line string) bool {
	for _, part := range []string{Password, base64.StdEncoding.EncodeToString([]byte(Password)), "<body", "<auth", "<response", "<password", "<token", "<resume"} {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

func (l *log) expects(line string) bool {
	if secret(line) {
		return false
	}
	for _, part := range l.expected {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

// sublog adds attributes to each line.
type sublog struct {
	*log
	attrs []slog.Attr
}

// WithAttrs implements slog.Handler.
func (l *sublog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sublog{l.log, append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...)}
}

// Handle implements slog.Handler.
func (l *sublog) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(l.attrs...)
	return l.log.Handle(ctx, r)
}
