// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// entry is a line of a log as kube-apiserver v1.36 writes it, shortened.
func entry(stage, verb, resource, subresource, name string, code int) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":%q,"requestURI":"/","verb":%q,`+
		`"user":{"username":"system:serviceaccount:hexiao-system:hexiao-manager","groups":["system:authenticated"],`+
		`"extra":{"authentication.kubernetes.io/credential-id":["JTI=a1"]}},"sourceIPs":["127.0.0.1"],`+
		`"objectRef":{"resource":%q,"subresource":%q,"namespace":"brands","name":%q,"apiVersion":"v1"},`+
		`"responseStatus":{"metadata":{},"code":%d},"requestReceivedTimestamp":"2026-11-22T15:00:00.250000Z","stageTimestamp":"2026-11-22T15:00:00.260000Z"}`,
		stage, verb, resource, subresource, name, code)
}

func TestAnEntryOfTheLogIsARequest(t *testing.T) {
	at := time.Date(2026, 11, 22, 15, 0, 0, 250_000_000, time.UTC)
	tests := map[string]struct {
		line       string
		want       request
		wantCounts bool
	}{
		"a patch of a status": {
			line:       entry("ResponseComplete", "patch", "brandconnectors", "status", "b", 200),
			want:       request{at: at, verb: "patch", resource: "brandconnectors", subresource: "status", namespace: "brands", name: "b", credential: "a1", code: 200},
			wantCounts: true,
		},
		"a watch counts when it begins": {
			line:       entry("ResponseStarted", "watch", "secrets", "", "", 200),
			want:       request{at: at, verb: "watch", resource: "secrets", namespace: "brands", credential: "a1", code: 200},
			wantCounts: true,
		},
		"and not when it ends": {
			line: entry("ResponseComplete", "watch", "secrets", "", "", 200),
			want: request{at: at, verb: "watch", resource: "secrets", namespace: "brands", credential: "a1", code: 200},
		},
		"what is not a resource, by somebody without a token": {
			line:       `{"stage":"ResponseComplete","verb":"get","requestReceivedTimestamp":"2026-11-22T15:00:00.250000Z","responseStatus":{"code":403}}`,
			want:       request{at: at, verb: "get", code: 403},
			wantCounts: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, counts, err := parseAudit([]byte(tc.line))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(request{})); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if counts != tc.wantCounts {
				t.Errorf("counts: %v, want %v", counts, tc.wantCounts)
			}
		})
	}
}

func TestWritesAreCountedApartFromLeasesAndEvents(t *testing.T) {
	got := tallyOf([]request{
		{verb: "patch", resource: "deployments", name: "b"},
		{verb: "patch", resource: "brandconnectors", subresource: "status", name: "b"},
		{verb: "patch", resource: "brandconnectors", subresource: "status", name: "b", code: 409},
		{verb: "create", resource: "events", name: "b.1"},
		{verb: "deletecollection", resource: "services"},
		{verb: "update", resource: "leases", name: "hexiao-manager"},
		{verb: "get", resource: "leases", name: "hexiao-manager"},
		{verb: "get", resource: "secrets", name: "b"},
		{verb: "get", resource: "services", name: "b", code: 404},
		{verb: "list", resource: "secrets"},
		{verb: "watch", resource: "secrets"},
		{verb: "get"},
	})
	want := tally{
		writes: 4, events: 1, leases: 2, reads: 4, watches: 1, refused: 1,
		kinds: map[string]int{
			"patch deployments": 1, "patch brandconnectors/status": 1, "patch brandconnectors/status → 409": 1, "create events": 1,
			"deletecollection services": 1, "update leases": 1, "get leases": 1, "get secrets": 1, "get services → 404": 1, "list secrets": 1, "watch secrets": 1, "get (no resource)": 1,
		},
		written: map[string]int{"b": 3, "": 1},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(tally{})); diff != "" {
		t.Errorf("tally (-want +got):\n%s", diff)
	}
}

func TestTheLogIsFollowedWhileItGrows(t *testing.T) {
	a := &auditLog{path: filepath.Join(t.TempDir(), "audit.log")}
	if requests, err := a.all(); err != nil || len(requests) != 0 {
		t.Fatalf("before the first request: %v, %v", requests, err)
	}
	text := entry("ResponseComplete", "patch", "services", "", "b", 200) + "\n" +
		entry("ResponseComplete", "watch", "services", "", "", 200) + "\n" +
		entry("ResponseComplete", "get", "secrets", "", "b", 200) + "\n"
	// Cut everywhere: also inside of a line.
	const step = 97
	var names []string
	for from := 0; from < len(text); from += step {
		f, err := os.OpenFile(a.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text[from:min(from+step, len(text))]); err != nil {
			t.Fatal(err)
		}
		f.Close()
		requests, err := a.all()
		if err != nil {
			t.Fatal(err)
		}
		names = nil
		for _, r := range requests {
			names = append(names, r.String())
		}
	}
	if want := "patch services, get secrets"; strings.Join(names, ", ") != want {
		t.Errorf("requests %q, want %q", names, want)
	}
}

func TestALogThatCannotBeReadIsAnError(t *testing.T) {
	a := &auditLog{}
	if err := a.take([]byte("{\n")); err == nil {
		t.Error("half an entry was taken for a whole one")
	}
}

func FuzzParseAudit(f *testing.F) {
	f.Add([]byte(entry("ResponseComplete", "patch", "services", "", "b", 200)))
	f.Add([]byte(`{"verb":"watch","stage":"ResponseStarted","user":{"extra":{"authentication.kubernetes.io/credential-id":[]}}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, counts, err := parseAudit(line)
		if err != nil && counts {
			t.Errorf("%v counts, and is an error: %v", r, err)
		}
	})
}
