// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

const useForward = "use kubectl hexiao, or kubectl port-forward to the Pod"

// proxied are headers that a proxy adds, and Origin, which a browser adds: neither
// has any business here, though it may come from this very machine.
var proxied = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via", "Origin"}

// local lets only those through who came over the loopback interface themselves.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := foreign(r); why != "" {
			fail(w, &adminapi.Error{Status: http.StatusForbidden, Code: adminapi.CodeLocal, Message: why, Remedy: useForward})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreign says why a request is not a local one; empty when it is. Both ends must be
// 127.0.0.1 or ::1 to the letter: a service mesh's sidecar hands on what came from
// other Pods, and does so from 127.0.0.6 or to the Pod's own address.
func foreign(r *http.Request) string {
	own, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case !loopback(r.RemoteAddr):
		return "the caller is not on the loopback interface"
	case own == nil || !loopback(own.String()):
		return "the call was not made to the loopback interface"
	case !loopbackName(r.Host):
		return "the Host header does not name the loopback interface"
	}
	for _, h := range proxied {
		if len(r.Header.Values(h)) > 0 {
			return "the call came through a proxy or from a web page (header " + h + ")"
		}
	}
	return ""
}

func loopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	switch a.Addr().Unmap() {
	case netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback():
		return true
	}
	return false
}

func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	switch strings.ToLower(strings.Trim(host, "[]")) {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}
