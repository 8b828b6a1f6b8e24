// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// Addresses are where a sandbox listens, host:port; port 0 picks a free one.
type Addresses struct {
	// All serves everything: vendors, administration and trace sink.
	All string
	// Zhimai and ALSC, when set, serve one vendor on a socket of its own, the
	// only way in which a vendor can refuse connections while the
	// administration still answers.
	Zhimai, ALSC string
}

// Server is a sandbox on sockets.
type Server struct {
	Sandbox *Sandbox
	// AdminURL is the base of everything, such as http://127.0.0.1:18080.
	AdminURL string
	// ZhimaiURL and ALSCURL are the vendors' endpoints as a connector is
	// configured with them.
	ZhimaiURL, ALSCURL string

	http  *http.Server
	gates map[books.Vendor]*gate
}

// Serve puts s on sockets and returns when they accept connections.
func Serve(s *Sandbox, at Addresses) (*Server, error) {
	srv := &Server{Sandbox: s, gates: map[books.Vendor]*gate{}}
	srv.http = &http.Server{
		Handler: s, ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	all, err := newGate(at.All)
	if err != nil {
		return nil, err
	}
	srv.AdminURL = "http://" + all.Addr().String()
	srv.ZhimaiURL, srv.ALSCURL = srv.AdminURL+ZhimaiPath, srv.AdminURL+ALSCPath
	open := []*gate{all}
	for _, own := range []struct {
		vendor books.Vendor
		addr   string
		path   string
		url    *string
	}{{books.Zhimai, at.Zhimai, ZhimaiPath, &srv.ZhimaiURL}, {books.ALSC, at.ALSC, ALSCPath, &srv.ALSCURL}} {
		if own.addr == "" {
			continue
		}
		g, err := newGate(own.addr)
		if err != nil {
			return nil, errors.Join(err, closeAll(open))
		}
		open = append(open, g)
		srv.gates[own.vendor] = g
		*own.url = "http://" + g.Addr().String() + own.path
	}
	s.mu.Lock()
	s.onDown = srv.setDown
	s.mu.Unlock()
	for _, g := range open {
		go func() {
			if err := srv.http.Serve(g); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("a socket ended", "address", g.Addr().String(), "error", err)
			}
		}()
	}
	return srv, nil
}

func closeAll(gates []*gate) error {
	var err error
	for _, g := range gates {
		err = errors.Join(err, g.Close())
	}
	return err
}

func (s *Server) setDown(v books.Vendor, mode DownMode) error {
	g := s.gates[v]
	if g == nil {
		return nil
	}
	return g.set(mode)
}

// Shutdown lets running calls end until ctx is done, then cuts them, and
// closes the sandbox.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Sandbox.close.Do(func() { close(s.Sandbox.done) }) // ends calls that hang by intention
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = s.http.Close()
	}
	return errors.Join(err, s.Sandbox.Close())
}

// gate is a listener that can be taken off the network and brought back on
// the same port.
type gate struct {
	addr net.Addr

	mu     sync.Mutex
	inner  net.Listener // nil while down in mode Refuse
	mode   DownMode
	closed bool
	wake   chan struct{} // replaced at each change
	conns  map[net.Conn]struct{}
}

func newGate(addr string) (*gate, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return &gate{addr: l.Addr(), inner: l, wake: make(chan struct{}), conns: map[net.Conn]struct{}{}}, nil
}

func (g *gate) Addr() net.Addr { return g.addr }

// Accept implements net.Listener; while the gate is down it only waits.
func (g *gate) Accept() (net.Conn, error) {
	for {
		inner, wake, err := g.current()
		if err != nil {
			return nil, err
		}
		if inner == nil {
			<-wake
			continue
		}
		c, err := inner.Accept()
		if err != nil {
			if again, _, stop := g.current(); stop == nil && again != inner {
				continue // closed by set, not by a fault of the network
			}
			return nil, err
		}
		if tracked, ok := g.admit(c); ok {
			return tracked, nil
		}
		resetConn(c)
	}
}

func (g *gate) current() (net.Listener, chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, nil, net.ErrClosed
	}
	return g.inner, g.wake, nil
}

func (g *gate) admit(c net.Conn) (net.Conn, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mode != Up {
		return nil, false
	}
	g.conns[c] = struct{}{}
	return &gateConn{TCPConn: c.(*net.TCPConn), gate: g}, true
}

// set changes the mode. Going down resets the connections that are open.
func (g *gate) set(mode DownMode) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.mode == mode {
		return nil
	}
	switch {
	case mode == Refuse && g.inner != nil:
		l := g.inner
		g.inner = nil
		_ = l.Close() // its Accept sees that it was replaced
	case mode != Refuse && g.inner == nil:
		l, err := net.Listen("tcp", g.addr.String())
		if err != nil {
			return fmt.Errorf("listen on %s again: %w", g.addr, err)
		}
		g.inner = l
	}
	g.mode = mode
	if mode != Up {
		for c := range g.conns {
			resetConn(c)
		}
		g.conns = map[net.Conn]struct{}{}
	}
	close(g.wake)
	g.wake = make(chan struct{})
	return nil
}

// Close implements net.Listener.
func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	close(g.wake)
	if g.inner == nil {
		return nil
	}
	return g.inner.Close()
}

// gateConn leaves the gate's list when it is closed.
type gateConn struct {
	*net.TCPConn
	gate *gate
}

func (c *gateConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c.TCPConn)
	c.gate.mu.Unlock()
	return c.TCPConn.Close()
}
