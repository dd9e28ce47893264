package xmpptest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// log is a slog.Handler that keeps what the server says at level error.
type log struct {
	expected []string

	mu    sync.Mutex
	lines []string
}

// Enabled implements slog.Handler.
func (l *log) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

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

func (l *log) expects(line string) bool {
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
