// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hexiao-dev/hexiao/controllers"
)

// comparedWith starts with an API server that serves a document as the group's schemas, and
// returns the log and the gauge by CRD.
func comparedWith(t *testing.T, status int, document string) (string, map[string]float64) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/openapi/v3/apis/connect.hexiao.dev/v1alpha1" {
			t.Errorf("asked for %s", req.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(document))
	}))
	t.Cleanup(server.Close)
	registry := prometheus.NewRegistry()
	metrics, err := controllers.NewMetrics(registry, fake.NewClientBuilder().Build())
	must(t, err)
	var log strings.Builder
	c := &crdComparison{config: &rest.Config{Host: server.URL}, client: server.Client(), metrics: metrics, logger: slog.New(slog.NewTextHandler(&log, nil))}
	current, err := c.compare(t.Context())
	if err != nil {
		log.WriteString(err.Error())
	}
	if current {
		t.Error("it says that nothing is missing")
	}
	families, err := registry.Gather()
	must(t, err)
	gauges := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "hexiao_operator_crd_outdated" {
			continue
		}
		for _, m := range f.GetMetric() {
			gauges[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return log.String(), gauges
}

func TestOlderCRDsAreSaidAtTheStart(t *testing.T) {
	log, gauges := comparedWith(t, http.StatusOK, `{"components":{"schemas":{"a":{
		"x-kubernetes-group-version-kind":[{"group":"connect.hexiao.dev","kind":"BrandConnector","version":"v1alpha1"}],
		"properties":{"apiVersion":{},"kind":{},"metadata":{},"status":{},"spec":{"properties":{}}}}}}}`)
	want := map[string]float64{"brandconnectors.connect.hexiao.dev": 1, "connectorclasses.connect.hexiao.dev": 1}
	if diff := cmp.Diff(want, gauges); diff != "" {
		t.Errorf("gauges (-want +got):\n%s", diff)
	}
	for _, words := range []string{"docs/guides/upgrade.md", "crd=brandconnectors.connect.hexiao.dev", `first="spec.brandID, `, "level=WARN"} {
		if !strings.Contains(log, words) {
			t.Errorf("the log does not say %s:\n%s", words, log)
		}
	}
	if strings.Count(log, "\n") != 2 || len(log) > 2000 {
		t.Errorf("the log is not one short line for each CRD:\n%s", log)
	}
}

// CRDs that were upgraded with the operator must not fire the alert, which waits for half an
// hour, only because the API server still told of the old ones.
func TestWhatIsNotAsItShouldBeIsLookedAtAgainSoon(t *testing.T) {
	var pauses []time.Duration
	pause := time.Duration(0)
	for range 6 {
		pause = nextLook(pause, false)
		pauses = append(pauses, pause)
	}
	want := []time.Duration{15 * time.Second, time.Minute, 4 * time.Minute, 16 * time.Minute, time.Hour, time.Hour}
	if diff := cmp.Diff(want, pauses); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	for _, pause := range []time.Duration{0, time.Minute, time.Hour} {
		if got := nextLook(pause, true); got != time.Hour {
			t.Errorf("when all is well, after %s: %s", pause, got)
		}
	}
}

func TestCRDsThatCannotBeComparedAreNoAlert(t *testing.T) {
	for name, tc := range map[string]struct {
		status   int
		document string
	}{
		"the API server may not tell":    {http.StatusForbidden, `{}`},
		"the API server serves no such":  {http.StatusNotFound, `{}`},
		"the API server says other than": {http.StatusOK, `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			log, gauges := comparedWith(t, tc.status, tc.document)
			if len(gauges) > 0 || !strings.Contains(log, "the served schemas: ") {
				t.Errorf("gauges %v, log %q; want none, and an error", gauges, log)
			}
		})
	}
}
