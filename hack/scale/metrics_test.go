// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

const page = `# TYPE controller_runtime_reconcile_total counter
controller_runtime_reconcile_total{controller="brandconnector",result="success"} 7
controller_runtime_reconcile_total{controller="brandconnector",result="error"} 2
controller_runtime_reconcile_total{controller="other",result="success"} 100
# TYPE workqueue_depth gauge
workqueue_depth{controller="brandconnector",name="brandconnector",priority="0"} 3
workqueue_depth{controller="brandconnector",name="brandconnector",priority="-100"} 4
# TYPE rest_client_requests_total counter
rest_client_requests_total{code="200",host="h",method="GET"} 1000
rest_client_requests_total{code="200",host="h",method="PUT"} 500
rest_client_requests_total{code="200",host="h",method="PATCH"} 20
rest_client_requests_total{code="409",host="h",method="PATCH"} 1
rest_client_requests_total{code="201",host="h",method="POST"} 4
# TYPE hexiao_operator_apply_total counter
hexiao_operator_apply_total{kind="Service",result="applied"} 5
hexiao_operator_apply_total{kind="Service",result="unchanged"} 3
hexiao_operator_apply_total{kind="Service",result="skipped"} 900
# TYPE leader_election_master_status gauge
leader_election_master_status{name="hexiao-manager"} 1
# TYPE go_gc_heap_live_bytes gauge
go_gc_heap_live_bytes 1.5e+07
`

func TestAPageOfMetricsIsSummedUp(t *testing.T) {
	m, err := parseMetrics(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ got, want float64 }{
		"reconciles of brands alone, whatever their result": {m.reconciles(), 9},
		"the backlog is over all priorities":                {m.backlog(), 7},
		"writes are neither reads nor leases":               {m.written(), 25},
		"an object that was not sent is not applied":        {m.applied(), 8},
		"the heap":                              {m.liveHeap(), 15e6},
		"what is not there is zero":             {m.sum("nothing"), 0},
		"a label that no series has":            {m.sum("workqueue_depth", "name", "other"), 0},
		"all labels have to fit":                {m.sum("workqueue_depth", "name", "brandconnector", "priority", "0"), 3},
		"a family without labels is one series": {m.sum("go_gc_heap_live_bytes"), 15e6},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("%v, want %v", tc.got, tc.want)
			}
		})
	}
	if !m.leads() {
		t.Error("the leader does not lead")
	}
	if (metrics{}).leads() {
		t.Error("who has no metrics leads")
	}
}

func TestAPageThatIsNoMetricsIsAnError(t *testing.T) {
	if _, err := parseMetrics(strings.NewReader("<html>")); err == nil {
		t.Error("a page of HTML was taken for metrics")
	}
}
