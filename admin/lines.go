package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ndjson is the media type of an answer that shows progress: one object per line.
const ndjson = "application/x-ndjson"

const (
	progressEvery = 200 * time.Millisecond // lines of progress are at least so far apart
	lineTimeout   = 10 * time.Second       // how long a caller may keep a line from being written
)

// line is one line of such an answer; it has one of its fields. All but the last
// line are progress.
type line struct {
	Progress *progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *Failure        `json:"error,omitempty"`
}

type progress struct {
	Done int64 `json:"done"`
	Of   int64 `json:"of"` // 0: not known
}

// lines writes an answer line by line. If a line cannot be written, for its reader
// has gone or does not read, net/http ends the context of the request.
type lines struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	next time.Time // when progress is due again
	held *progress // the latest, if it was not written
}

func newLines(w http.ResponseWriter) *lines {
	l := &lines{w: w, rc: http.NewResponseController(w)}
	// Else the first line waits for the rest of a request that may never come.
	_ = l.rc.EnableFullDuplex()
	w.Header().Set("Content-Type", ndjson)
	return l
}

func (l *lines) progress(done, of int64) {
	l.held = &progress{done, of}
	if now := time.Now(); !now.Before(l.next) {
		l.next = now.Add(progressEvery)
		l.flush()
	}
}

func (l *lines) flush() {
	if l.held != nil {
		l.write(line{Progress: l.held})
		l.held = nil
	}
}

// end writes the last lines.
func (l *lines) end(result json.RawMessage, err error) {
	l.flush()
	if err != nil {
		f := NewFailure(err)
		l.write(line{Error: &f})
	} else {
		l.write(line{Result: result})
	}
}

func (l *lines) write(v line) {
	_ = l.rc.SetWriteDeadline(time.Now().Add(lineTimeout))
	if err := json.NewEncoder(l.w).Encode(v); err == nil {
		_ = l.rc.Flush()
	}
}

// readLines hands the progress of an answer to fn and returns its result.
func readLines(r io.Reader, fn func(done, of int64)) (json.RawMessage, error) {
	for d := json.NewDecoder(r); ; {
		var v line
		if err := d.Decode(&v); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read the answer of the server: %w", err)
		}
		switch {
		case v.Error != nil:
			return nil, v.Error.err()
		case v.Result != nil:
			return v.Result, nil
		case v.Progress != nil:
			fn(v.Progress.Done, v.Progress.Of)
		}
	}
}
