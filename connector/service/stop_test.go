// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"net"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
)

// Whoever probes may hold a connection on which nothing was ever said, such as one that an
// HTTP client dialled and then did not need.
func TestAConnectionThatNobodySpeaksOnDoesNotSpoilTheStop(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	_, reply := f.verify(readSample(t, "request.json"))
	silent, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.Service.AdminAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	f.Admin("/livez") // comes after it, so it is accepted
	f.Stop()
	if trace := f.Sandbox.Sandbox.Spans().Trace(parse(t, reply).MessageUUID); len(trace) == 0 {
		t.Error("the last trace was not exported")
	}
}
