// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// tunnel is a forwarded port of one Pod.
type tunnel struct {
	conn httpstream.Connection
	port int32
	last atomic.Int64 // request id
}

// faultWait is how long is waited for the kubelet to say why there is no data. It ends its
// stream of faults either way, so this is for one that does not.
const faultWait = 5 * time.Second

// openTunnel upgrades a connection to the Pod's portforward subresource: by WebSocket,
// or by SPDY where the API server, or a proxy before it, knows only that.
func openTunnel(ctx context.Context, config *rest.Config, target *url.URL, port int32) (*tunnel, error) {
	dialer, err := dialerFor(config, target)
	if err != nil {
		return nil, err
	}
	type dialed struct {
		conn     httpstream.Connection
		protocol string
		err      error
	}
	done := make(chan dialed, 1)
	go func() { // Dial knows no context
		conn, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		done <- dialed{conn, protocol, err}
	}()
	select {
	case <-ctx.Done():
		go func() {
			if d := <-done; d.err == nil {
				_ = d.conn.Close()
			}
		}()
		return nil, ctx.Err()
	case d := <-done:
		if d.err != nil {
			return nil, d.err
		}
		if d.protocol != portforward.PortForwardProtocolV1Name {
			_ = d.conn.Close()
			return nil, fmt.Errorf("the API server speaks %q, not %q", d.protocol, portforward.PortForwardProtocolV1Name)
		}
		return &tunnel{conn: d.conn, port: port}, nil
	}
}

func dialerFor(config *rest.Config, target *url.URL) (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	bySPDY := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	byWebSocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(byWebSocket, bySPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

func (t *tunnel) Close() error { return t.conn.Close() }

// client sends requests through the tunnel. The host name is the one that the Pod's
// own loopback interface has.
func (t *tunnel) client(timeout time.Duration) (base string, client *http.Client) {
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return t.dial() },
		// One stream a request: no state to go stale, and the error stream is its own.
		DisableKeepAlives: true,
	}
	return "http://localhost:" + strconv.Itoa(int(t.port)), &http.Client{Transport: transport, Timeout: timeout}
}

// dial opens a pair of streams: one for data, one on which the kubelet tells why it
// could not reach the port.
func (t *tunnel) dial() (net.Conn, error) {
	h := http.Header{}
	h.Set(corev1.PortHeader, strconv.Itoa(int(t.port)))
	h.Set(corev1.PortForwardRequestIDHeader, strconv.FormatInt(t.last.Add(1), 10))
	h.Set(corev1.StreamType, corev1.StreamTypeError)
	faults, err := t.conn.CreateStream(h)
	if err != nil {
		return nil, fmt.Errorf("open the error stream: %w", err)
	}
	_ = faults.Close() // nothing is written to it
	h.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := t.conn.CreateStream(h)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the data stream: %w", err), faults.Reset())
	}
	c := &streamConn{Stream: data, tunnel: t, faults: faults, told: make(chan struct{})}
	go c.listen()
	return c, nil
}

// streamConn is a forwarded stream as a connection. Deadlines are not known to streams:
// the client's timeout closes it.
type streamConn struct {
	httpstream.Stream
	tunnel *tunnel
	faults httpstream.Stream
	once   sync.Once
	told   chan struct{}
	fault  error // when told is closed
}

func (c *streamConn) listen() {
	defer close(c.told)
	if message, _ := io.ReadAll(io.LimitReader(c.faults, 4<<10)); len(message) > 0 {
		c.fault = fmt.Errorf("forward the port: %s", strings.TrimSpace(string(message)))
		_ = c.Reset() // whoever reads must hear of it
	}
}

// Read reads data. When there is none because the port was not reached, the error is
// the kubelet's.
func (c *streamConn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if n > 0 || err == nil {
		return n, err
	}
	select {
	case <-c.told:
		if c.fault != nil {
			return 0, c.fault
		}
	case <-time.After(faultWait):
	}
	return 0, err
}

func (c *streamConn) Close() error {
	c.once.Do(func() {
		_ = c.Stream.Close()
		_ = c.Reset()
		_ = c.faults.Reset()
		c.tunnel.conn.RemoveStreams(c.Stream, c.faults)
	})
	return nil
}

type address struct{}

func (address) Network() string { return "portforward" }
func (address) String() string  { return "pod" }

func (c *streamConn) LocalAddr() net.Addr              { return address{} }
func (c *streamConn) RemoteAddr() net.Addr             { return address{} }
func (c *streamConn) SetDeadline(time.Time) error      { return nil }
func (c *streamConn) SetReadDeadline(time.Time) error  { return nil }
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }
