// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAConnectorThatIsToStopSendsItsClientsAway(t *testing.T) {
	s := &Service{}
	server := httptest.NewServer(s.leaving(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })))
	defer server.Close()
	for name, ready := range map[string]bool{"one that serves keeps connections": true, "one that drains ends them": false} {
		t.Run(name, func(t *testing.T) {
			s.ready.Store(ready)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.Close == ready {
				t.Errorf("the answer ends the connection: %t", resp.Close)
			}
		})
	}
}
