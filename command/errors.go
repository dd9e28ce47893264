package command

import (
	"errors"
	"fmt"
	"net/http"
)

// Reason says what kind of failure an Error is. Its text is part of the
// output, so scripts may rely on it.
type Reason string

// The reasons of failures.
const (
	Failed      Reason = ""              // the text says it all
	Usage       Reason = "usage"         // wrong arguments
	Unknown     Reason = "unknown"       // no such command
	Conflict    Reason = "conflict"      // what should be new is there
	NotFound    Reason = "not_found"     // what should be there is not
	UnknownHost Reason = "unknown_host"  // a domain that is not served here
	Unavailable Reason = "not_available" // not on this server, or not now
)

// Error is a failure that is meant for the person who typed the command.
type Error struct {
	Reason Reason
	Text   string
}

// Errorf makes an Error. It does not wrap: what the admin reads is the text.
func Errorf(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Text: fmt.Sprintf(format, args...)}
}

// Error is the reason and the text, as ejabberdctl prints them behind "Error: ".
func (e *Error) Error() string {
	if e.Reason == Failed || e.Reason == Usage || e.Reason == Unknown {
		return e.Text
	}
	return string(e.Reason) + ": " + e.Text
}

// Exit codes of the command line (ejabberdctl has the same).
const (
	ExitOK         = 0
	ExitError      = 1
	ExitUsage      = 2
	ExitNotRunning = 3
)

// ExitCode is the exit code for what a command returned.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[*Error](err); ok && (e.Reason == Usage || e.Reason == Unknown) {
		return ExitUsage
	}
	return ExitError
}

// HTTPStatus is the status for what a command returned, as ejabberd's HTTP API
// chooses it.
func HTTPStatus(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Reason {
		case Usage:
			return http.StatusBadRequest
		case Unknown, UnknownHost, NotFound:
			return http.StatusNotFound
		case Conflict:
			return http.StatusConflict
		case Unavailable:
			return http.StatusServiceUnavailable
		}
	}
	return http.StatusInternalServerError
}
