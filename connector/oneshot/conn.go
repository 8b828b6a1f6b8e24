// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// conn is a connection to one host, plain or TLS, used by one exchange at a time.
type conn struct {
	net.Conn          // what requests are written to: TLS or the meter
	raw      net.Conn // the TCP connection
	meter    *meter   // counts what the TCP connection took
	budget   io.LimitedReader
	in       *bufio.Reader
	key      string
	reused   bool
	idleFrom time.Time
}

// buffered prepares reading: every byte of an answer comes through the budget, so
// that no server can make us read for ever.
func (c *conn) buffered() *conn {
	c.budget = io.LimitedReader{R: c.Conn}
	c.in = bufio.NewReader(&c.budget)
	return c
}

// alive reports whether an idle connection has neither been closed by the server
// nor has anything to read. A request written to a connection that the server has
// closed is an unknown outcome, so the socket is asked right before it is used. An
// unasked byte (a TLS close alert, a stray answer) disqualifies it as well: reading
// it as the answer to our request would settle money on somebody else's words.
func (c *conn) alive() bool {
	if !quiet(c.raw) {
		return false
	}
	if c.Conn == net.Conn(c.meter) {
		return true
	}
	// TLS reads ahead, so a stray record may lie decrypted above a quiet socket.
	// With a deadline in the past the peek sees it, or times out at once.
	c.budget.N = 1
	if c.raw.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	_, err := c.in.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded) && c.raw.SetReadDeadline(time.Time{}) == nil
}

// shut closes the TCP connection without a TLS farewell, which could block and
// would be bytes that nobody needs.
func (c *conn) shut() { _ = c.raw.Close() }

// meter counts the bytes that the socket took. It sits below TLS, so that even a
// torn TLS record counts as sent.
type meter struct {
	net.Conn
	n atomic.Int64
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	m.n.Add(int64(n))
	return n, err
}

func (m *meter) written() int64 { return m.n.Load() }

// take removes the youngest idle connection of key, nil when there is none that is
// young enough.
func (c *Client) take(key string) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[key]
	if len(list) == 0 {
		return nil
	}
	cn := list[len(list)-1]
	if c.cfg.Now().Sub(cn.idleFrom) > c.cfg.IdleTimeout {
		for _, old := range list { // the others are older still
			old.shut()
		}
		delete(c.idle, key)
		return nil
	}
	c.idle[key] = list[:len(list)-1]
	return cn
}

// keep puts cn among the idle ones, false when there is no place for it.
func (c *Client) keep(cn *conn) bool {
	if c.cfg.IdleTimeout < 0 || cn.raw.SetDeadline(time.Time{}) != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle[cn.key]) >= c.cfg.MaxIdlePerHost {
		return false
	}
	cn.idleFrom = c.cfg.Now()
	c.idle[cn.key] = append(c.idle[cn.key], cn)
	return true
}

// Close ends the idle connections; exchanges under way go on, and later ones have
// connections of their own.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, list := range c.idle {
		for _, cn := range list {
			cn.shut()
		}
	}
	clear(c.idle)
}
