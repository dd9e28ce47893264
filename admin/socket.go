package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/xmppd/xmppd/command"
)

// maxSocketPath is what fits into a sockaddr_un on the systems we know, the
// ending NUL byte left out: 107 on Linux, 103 on the BSDs and macOS.
const maxSocketPath = 103

// ErrInUse is returned by ListenSocket when another server answers there.
var ErrInUse = errors.New("another server answers on the socket")

// ListenSocket opens the command socket. Only the user who runs the server may
// connect. A socket file that a dead server left behind is replaced; it is an
// error wrapping ErrInUse if a living one answers. Close removes the file.
func ListenSocket(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen on %s: the path has %d bytes, a socket allows %d; choose a shorter data_dir",
			path, len(path), maxSocketPath)
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("listen on %s: the file is there and is no socket", path)
	default:
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("listen on %s: %w", path, ErrInUse)
		}
	}
	// The socket is made in a folder that nobody else can enter and moved to its
	// place with its final mode, so that it is never open to others, not even for
	// the moment before a chmod.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	defer os.RemoveAll(dir)
	hidden := filepath.Join(dir, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false)
	s := &socket{UnixListener: ln, path: path}
	if err := errors.Join(os.Chmod(hidden, 0o600), os.Rename(hidden, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), ln.Close())
	}
	if s.file, err = os.Lstat(path); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), ln.Close())
	}
	return s, nil
}

// socket removes its file when it is closed, if the file is still its own.
type socket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
	once sync.Once
}

func (s *socket) Close() error {
	err := s.UnixListener.Close()
	s.once.Do(func() {
		if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(now, s.file) {
			err = errors.Join(err, os.Remove(s.path))
		}
	})
	return err
}

// maxArguments bounds the body of a call.
const maxArguments = 4 << 20

// ServeCommands serves the commands of the set on a listener until ctx is done;
// then it lets running calls end for a moment, closes the listener and returns
// nil. `xmppd ctl stop` takes the closing as the end of the server.
func ServeCommands(ctx context.Context, ln net.Listener, set *command.Set, log *slog.Logger) error {
	server := &http.Server{
		Handler:           CommandHandler(set, log),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// Calls outlive ctx for a moment: "stop" must be answered.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	stopped := make(chan error, 1)
	release := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	})
	err := server.Serve(ln)
	if release() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve commands: %w", err)
	}
	return <-stopped
}

// CommandHandler answers GET /commands with the declarations and runs POST
// /commands/NAME with a JSON object of arguments. Who accepts application/x-ndjson
// is told of progress: the answer is always 200 then, with an object on each line,
// {"progress":{"done":N,"of":M}} as often as there is news and at last {"result":…}
// or {"error":…} with what is the whole answer otherwise. It checks nobody's rights:
// who can reach it may do everything.
func CommandHandler(set *command.Set, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /commands", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, set.All())
	})
	mux.HandleFunc("POST /commands/{name}", func(w http.ResponseWriter, r *http.Request) {
		run(set, log, w, r)
	})
	return mux
}

// Failure is the JSON of a call that failed, as in ejabberd's HTTP API plus the
// reason.
type Failure struct {
	Status  string         `json:"status"` // always "error"
	Code    int            `json:"code"`   // the exit code of the command line
	Reason  command.Reason `json:"reason,omitempty"`
	Message string         `json:"message"`
}

// NewFailure says what went wrong with a command.
func NewFailure(err error) Failure {
	f := Failure{Status: "error", Code: command.ExitCode(err), Message: err.Error()}
	if e, ok := errors.AsType[*command.Error](err); ok {
		f.Reason, f.Message = e.Reason, e.Text
	}
	return f
}

func (f Failure) err() error { return &command.Error{Reason: f.Reason, Text: f.Message} }

func run(set *command.Set, log *slog.Logger, w http.ResponseWriter, r *http.Request) {
	name, ctx := r.PathValue("name"), r.Context()
	var l *lines
	if r.Header.Get("Accept") == ndjson {
		l = newLines(w)
		ctx = command.WithProgress(ctx, l.progress)
	}
	out, err := call(ctx, set, name, http.MaxBytesReader(w, r.Body, maxArguments))
	if err != nil {
		// The arguments stay out of the log: there are passwords among them.
		log.Info("command failed", "command", name, "error", err)
	} else {
		log.Debug("command done", "command", name)
	}
	switch {
	case l != nil:
		l.end(out, err)
	case err != nil:
		writeJSON(w, command.HTTPStatus(err), NewFailure(err))
	default:
		writeJSON(w, http.StatusOK, out)
	}
}

// call turns a panic of a command into its error, for one broken command must
// not end the server.
func call(ctx context.Context, set *command.Set, name string, body io.Reader) (out json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("run %s: panic: %v\n%s", name, p, debug.Stack())
		}
	}()
	var args json.RawMessage
	if err := json.NewDecoder(body).Decode(&args); err != nil {
		return nil, command.Errorf(command.Usage, "read the arguments of %s: %v", name, err)
	}
	c, v, err := set.Call(ctx, name, args)
	if err != nil {
		return nil, err
	}
	if out, err = c.Result.Encode(v); err != nil {
		return nil, fmt.Errorf("encode the result of %s: %w", name, err)
	}
	return out, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	out, err := json.Marshal(v)
	if err != nil {
		status, out = http.StatusInternalServerError, []byte(`{"status":"error","code":1,"message":"encode the answer"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The caller has gone if this fails; there is nobody left to tell.
	_, _ = w.Write(append(out, '\n'))
}
