// SPDX-License-Identifier: Apache-2.0

package providertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Script is a vendor that answers from a script; T is a call as it understands it.
type Script[T any] struct {
	URL string

	mu    sync.Mutex
	calls []T
}

// Serve runs a vendor until the test ends: parse understands the body of a request,
// answer is given the number of the call, from 1, and the call.
func Serve[T any](t testing.TB, parse func(body string) (T, error), answer func(n int, call T) (status int, text string)) *Script[T] {
	t.Helper()
	s := &Script[T]{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		call, err := parse(string(body))
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.calls = append(s.calls, call)
		n := len(s.calls)
		s.mu.Unlock()
		status, text := answer(n, call)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// Got are the calls that were received so far.
func (s *Script[T]) Got() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Untold fails for each text that holds one of the canaries.
func Untold(t testing.TB, canaries, texts []string) {
	t.Helper()
	for _, canary := range canaries {
		for _, text := range texts {
			if strings.Contains(text, canary) {
				t.Errorf("%q is told in %s", canary, text)
			}
		}
	}
}
