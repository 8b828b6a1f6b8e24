// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// auditPolicy logs everything that one user asks for. The log is written before the answer is sent, so
// whoever has an answer finds the request in the log.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [%q]
- level: None
`

// request is one request as the API server saw it.
type request struct {
	// at is when it came in.
	at                                     time.Time
	verb                                   string
	resource, subresource, namespace, name string
	// credential is the id of the token that it came with: one for each process.
	credential string
	// code is the HTTP status of the answer.
	code int
}

// auditEvent is what is read of an entry of the log (audit.k8s.io/v1, Event).
type auditEvent struct {
	Stage                    string    `json:"stage"`
	Verb                     string    `json:"verb"`
	RequestReceivedTimestamp time.Time `json:"requestReceivedTimestamp"`
	User                     struct {
		Extra map[string][]string `json:"extra"`
	} `json:"user"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// credentialKey is the key under which the API server says which token was used.
const credentialKey = "authentication.kubernetes.io/credential-id"

// parseAudit reads an entry. It is false for an entry that is not to be counted: a watch is logged when it
// begins and when it ends, and counts when it begins; everything else counts when it was answered.
func parseAudit(line []byte) (request, bool, error) {
	var e auditEvent
	if err := json.Unmarshal(line, &e); err != nil {
		return request{}, false, fmt.Errorf("read an entry of the audit log: %w", err)
	}
	counts := e.Stage == "ResponseComplete" || e.Stage == "Panic"
	if e.Verb == "watch" {
		counts = e.Stage == "ResponseStarted"
	}
	r := request{
		at: e.RequestReceivedTimestamp, verb: e.Verb, code: e.ResponseStatus.Code,
		resource: e.ObjectRef.Resource, subresource: e.ObjectRef.Subresource, namespace: e.ObjectRef.Namespace, name: e.ObjectRef.Name,
	}
	if ids := e.User.Extra[credentialKey]; len(ids) > 0 {
		r.credential = strings.TrimPrefix(ids[0], "JTI=")
	}
	return r, counts, nil
}

func (r request) isWrite() bool { return !slices.Contains([]string{"get", "list", "watch"}, r.verb) }

// isLease is true for what the leader election asks, whether anything happens or not.
func (r request) isLease() bool { return r.resource == "leases" }

func (r request) isEvent() bool { return r.resource == "events" }

// String names what a request was about, without the name of the object.
func (r request) String() string {
	resource := r.resource
	if r.subresource != "" {
		resource += "/" + r.subresource
	}
	if r.resource == "" {
		resource = "(no resource)"
	}
	if r.code >= 400 {
		return fmt.Sprintf("%s %s → %d", r.verb, resource, r.code)
	}
	return r.verb + " " + resource
}

// tally counts requests.
type tally struct {
	// writes are creates, updates, patches and deletes of anything but leases and events.
	writes int
	// events are writes of events.
	events int
	// leases are requests of the leader election.
	leases int
	// reads are gets and lists.
	reads   int
	watches int
	// refused are writes that were answered with 400 or above.
	refused int
	// kinds counts all of them, leases too, by what they were.
	kinds map[string]int
	// written counts writes by the object's name, which for what a brand owns begins with the brand's.
	written map[string]int
}

func tallyOf(requests []request) tally {
	t := tally{kinds: map[string]int{}, written: map[string]int{}}
	for _, r := range requests {
		t.kinds[r.String()]++
		if r.isWrite() && r.code >= 400 {
			t.refused++
		}
		switch {
		case r.isLease():
			t.leases++
		case r.verb == "watch":
			t.watches++
		case !r.isWrite():
			t.reads++
		case r.isEvent():
			t.events++
		default:
			t.writes++
			t.written[r.name]++
		}
	}
	return t
}

// auditLog follows the API server's log.
type auditLog struct {
	path string

	mu       sync.Mutex
	offset   int64
	rest     []byte // of a line that is not whole yet
	requests []request
}

// all returns every request so far. The slice only grows: its length is a mark in time.
func (a *auditLog) all() ([]request, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := os.Open(a.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // nobody has asked for anything yet
	}
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if _, err := f.Seek(a.offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	fresh, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	a.offset += int64(len(fresh))
	err = a.take(fresh)
	return a.requests, err
}

// take parses whole lines and keeps the rest for the next time.
func (a *auditLog) take(fresh []byte) error {
	a.rest = append(a.rest, fresh...)
	for {
		line, rest, whole := bytes.Cut(a.rest, []byte("\n"))
		if !whole {
			return nil
		}
		a.rest = rest
		r, counts, err := parseAudit(line)
		if err != nil {
			return err
		}
		if counts {
			a.requests = append(a.requests, r)
		}
	}
}
