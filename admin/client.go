package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/xmppd/xmppd/command"
)

// ErrNotRunning is wrapped by the errors of a Client when no server answers.
var ErrNotRunning = errors.New("no server answers")

// Client runs commands over the socket of a server.
type Client struct {
	http http.Client
	path string
}

// Dial makes a client for the socket at path. It connects at the first call.
func Dial(path string) *Client {
	c := &Client{path: path}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTSOCK) {
				return nil, fmt.Errorf("%w on %s", ErrNotRunning, path)
			}
			return conn, err
		},
		DisableKeepAlives: true,
	}
	return c
}

// Commands fetches the declarations of the server's commands.
func (c *Client) Commands(ctx context.Context) (*command.Set, error) {
	body, err := c.do(ctx, http.MethodGet, "/commands", nil, nil)
	if err != nil {
		return nil, err
	}
	var list []command.Command
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("decode the list of commands: %w", err)
	}
	set := new(command.Set)
	set.Add(list...)
	return set, nil
}

// Call runs a command with its arguments as a JSON object and returns the result
// as JSON. What the command itself reports is a *command.Error. If progress is not
// nil, it is called, until Call returns, with what the command tells of its
// progress; see command.Progress.
func (c *Client) Call(ctx context.Context, name string, args json.RawMessage, progress func(done, of int64)) (json.RawMessage, error) {
	return c.do(ctx, http.MethodPost, "/commands/"+name, args, progress)
}

// WaitGone waits until nobody accepts connections on the socket any more.
func (c *Client) WaitGone(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", c.path)
		if err != nil {
			return nil
		}
		conn.Close()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, progress func(done, of int64)) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://xmppd"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if progress != nil {
		req.Header.Set("Accept", ndjson)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	// A server that was started before an update may know nothing of progress.
	if progress != nil && resp.Header.Get("Content-Type") == ndjson {
		return readLines(resp.Body, progress)
	}
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer of the server: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return out, nil
	}
	var f Failure
	if err := json.Unmarshal(out, &f); err != nil || f.Status != "error" {
		return nil, fmt.Errorf("the server answers %s", resp.Status)
	}
	return nil, f.err()
}
