// Package web is the HTTP side of the server: the listeners for plain HTTP and
// for TLS, one mux on which modules and the WebSocket mount, and what is known
// of a client behind a proxy.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Limits of a request, in bytes and time. A WebSocket leaves them behind when
// it is hijacked.
const (
	maxHeaderBytes    = 16 << 10
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	idleTimeout       = 2 * time.Minute
)

// Server serves one mux on any number of listeners.
type Server struct {
	log     *slog.Logger
	mux     *http.ServeMux
	trusted func() []netip.Prefix
	plain   *http.Server
	secure  *http.Server
}

// New makes a server. trusted names the proxies whose headers are believed.
func New(log *slog.Logger, trusted func() []netip.Prefix) *Server {
	s := &Server{log: log, mux: http.NewServeMux(), trusted: trusted}
	s.plain, s.secure = s.server(), s.server()
	return s
}

func (s *Server) server() *http.Server {
	return &http.Server{
		Handler: s.mux, MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// RFC 7395 needs HTTP/1.1: no protocol upgrade exists in HTTP/2 as clients use it.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}

// Handle mounts a handler (patterns of net/http.ServeMux) for every host name.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// HandleHost mounts a handler for requests that name the host.
func (s *Server) HandleHost(host, pattern string, h http.Handler) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "", pattern
	} else {
		method += " "
	}
	s.mux.Handle(method+host+path, h)
}

// Serve serves plain HTTP, or HTTPS when the listener speaks TLS, until Shutdown.
func (s *Server) Serve(l net.Listener, tls bool) error {
	srv := s.plain
	if tls {
		srv = s.secure
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown closes the listeners and waits for requests under way; those that
// the context does not wait for are cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	return errors.Join(shutdown(ctx, s.plain), shutdown(ctx, s.secure))
}

// shutdown does not mind that somebody has closed the listener before.
func shutdown(ctx context.Context, s *http.Server) error {
	switch err := s.Shutdown(ctx); {
	case errors.Is(err, net.ErrClosed):
		return nil
	case err != nil && ctx.Err() != nil:
		return s.Close()
	default:
		return err
	}
}

// Client is who sent a request.
type Client struct {
	Addr    netip.Addr
	Secure  bool // TLS reaches this server or a trusted proxy, or nothing leaves the machine
	Proxied bool // by a trusted proxy: a TLS connection here is not the client's
}

// Client finds out who sent the request, through trusted proxies if any
// (RFC 7239, and the older X-Forwarded-For and -Proto).
func (s *Server) Client(r *http.Request) Client {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return Client{Secure: r.TLS != nil}
	}
	c := Client{Addr: peer.Addr().Unmap(), Secure: r.TLS != nil}
	if !contains(s.trusted(), c.Addr) {
		c.Secure = c.Secure || c.Addr.IsLoopback()
		return c
	}
	c.Proxied = true
	proto := ""
	hops, forwarded := forwardedFor(r.Header)
	if forwarded != "" {
		proto = forwarded
	} else {
		proto = r.Header.Get("X-Forwarded-Proto")
	}
	// The last hop was written by our proxy; go left while hops are trusted.
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(hops[i])
		if err != nil {
			break
		}
		c.Addr = a.Unmap()
		if !contains(s.trusted(), c.Addr) {
			break
		}
	}
	if proto != "" {
		c.Secure = c.Secure || strings.EqualFold(proto, "https") || strings.EqualFold(proto, "wss")
	} else {
		c.Secure = true // a trusted proxy that says nothing is trusted with TLS too
	}
	return c
}

// forwardedFor is the list of addresses, nearest last, and the protocol of the
// last hop of a Forwarded header.
func forwardedFor(h http.Header) (hops []string, proto string) {
	if all := h.Values("Forwarded"); len(all) > 0 {
		for hop := range strings.SplitSeq(strings.Join(all, ","), ",") {
			for pair := range strings.SplitSeq(hop, ";") {
				k, v, _ := strings.Cut(strings.TrimSpace(pair), "=")
				v = strings.Trim(v, `"`)
				switch strings.ToLower(k) {
				case "for":
					hops = append(hops, hostOnly(v))
				case "proto":
					proto = v
				}
			}
		}
		return hops, proto
	}
	for hop := range strings.SplitSeq(strings.Join(h.Values("X-Forwarded-For"), ","), ",") {
		if hop = strings.TrimSpace(hop); hop != "" {
			hops = append(hops, hostOnly(hop))
		}
	}
	return hops, ""
}

// hostOnly drops a port and the brackets of an IPv6 address.
func hostOnly(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return strings.Trim(s, "[]")
}

func contains(nets []netip.Prefix, a netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
