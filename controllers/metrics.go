// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// Results of an apply.
const (
	resultApplied   = "applied"   // the object was created or changed
	resultUnchanged = "unchanged" // it was sent, and the API server had nothing to do
	resultSkipped   = "skipped"   // nothing was sent: it is as it was left
	resultFailed    = "failed"
)

// Metrics counts what the operator does.
type Metrics struct {
	applies  *prometheus.CounterVec
	drift    *prometheus.CounterVec
	rotation prometheus.Histogram
	fleet    *fleetCollector
	outdated *prometheus.GaugeVec
	secrets  *secretTimes
}

// NewMetrics registers the operator's metrics. What is said of single brands comes
// from a collector over the cache, so a brand that is gone leaves no series behind.
func NewMetrics(registry prometheus.Registerer, cache client.Reader) (*Metrics, error) {
	m := &Metrics{
		fleet:   &fleetCollector{},
		secrets: newSecretTimes(),
		applies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hexiao_operator_apply_total",
			Help: "Server-side applies of brands' objects, by kind and result (applied, unchanged, skipped, failed).",
		}, []string{"kind", "result"}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hexiao_operator_drift_corrections_total",
			Help: "Objects that somebody else had changed and that were set right, by kind.",
		}, []string{"kind"}),
		rotation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hexiao_operator_rotation_rollout_seconds",
			Help:    "Time from the change of a Secret or ConfigMap, to the second, until all Pods of the brands that use it were new and available.",
			Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600},
		}),
		outdated: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hexiao_operator_crd_outdated",
			Help: "1 while the cluster's CRD lacks fields of this version of the operator, which looks at its start, soon again as long as something is missing, and every hour.",
		}, []string{"crd"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.applies, m.drift, m.rotation, m.fleet, m.outdated, m.secrets, &brandCollector{cache: cache}} {
		errs = append(errs, registry.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *Metrics) applied(kind, result string) { m.applies.WithLabelValues(kind, result).Inc() }
func (m *Metrics) driftCorrected(kind string)  { m.drift.WithLabelValues(kind).Inc() }

// CRD says whether the cluster's CRD of a name is older than the operator.
func (m *Metrics) CRD(name string, outdated bool) {
	m.outdated.WithLabelValues(name).Set(map[bool]float64{true: 1}[outdated])
}

func (m *Metrics) rotated(took time.Duration) { m.rotation.Observe(took.Seconds()) }

// countFleet tells the metrics where roll-outs are counted.
func (m *Metrics) countFleet(surveys func(context.Context) map[*platform]rollout.Survey) {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.fleet.surveys = surveys
}

var (
	rolloutBrandsDesc = prometheus.NewDesc("hexiao_operator_rollout_brands",
		"Brands of a ConnectorClass (empty: of none), by how they stand towards the newest revision of the platform (current, waiting, rolling, failed).", []string{"class", "state"}, nil)
	rolloutHaltedDesc = prometheus.NewDesc("hexiao_operator_rollout_halted",
		"1 while the roll-out of a ConnectorClass (empty: of brands without one) is halted.", []string{"class"}, nil)
	rolloutNoCanaryDesc = prometheus.NewDesc("hexiao_operator_rollout_without_canary",
		"1 while brands of a ConnectorClass (empty: of none) wait with a change for canaries, and the canary selector matches no brand.", []string{"class"}, nil)
)

// fleetCollector counts the brands of every class when it is asked.
type fleetCollector struct {
	mu      sync.Mutex
	surveys func(context.Context) map[*platform]rollout.Survey
}

// Describe lists what Collect sends.
func (*fleetCollector) Describe(out chan<- *prometheus.Desc) {
	out <- rolloutBrandsDesc
	out <- rolloutHaltedDesc
	out <- rolloutNoCanaryDesc
}

// Collect sends the state of every roll-out.
func (c *fleetCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	surveys := c.surveys
	c.mu.Unlock()
	if surveys == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	for p, s := range surveys(ctx) {
		for state, n := range map[string]int{"current": s.Current, "waiting": s.Waiting, "rolling": s.Rolling, "failed": s.Failed} {
			gauge(rolloutBrandsDesc, n, p.name(), state)
		}
		is := map[bool]int{true: 1}
		gauge(rolloutHaltedDesc, is[s.Phase(p.policy) == rollout.Halted], p.name())
		gauge(rolloutNoCanaryDesc, is[s.WithoutCanary(p.policy)], p.name())
	}
}

var (
	brandLabels = []string{"namespace", "name"}
	infoDesc    = prometheus.NewDesc("hexiao_brandconnector_info",
		"A BrandConnector, with the brand and the image that it runs.", append(brandLabels[:2:2], "brand", "image", "revision"), nil)
	conditionDesc = prometheus.NewDesc("hexiao_brandconnector_condition",
		"1 for the status that a condition of a BrandConnector has.", append(brandLabels[:2:2], "type", "status", "reason"), nil)
	lagDesc = prometheus.NewDesc("hexiao_brandconnector_observed_generation_lag",
		"Generations of a BrandConnector that the operator has not looked at yet.", brandLabels, nil)
	suspendedDesc = prometheus.NewDesc("hexiao_brandconnector_suspended",
		"1 while a BrandConnector is suspended.", brandLabels, nil)
)

// brandCollector reads the state of every brand from the cache when it is asked.
type brandCollector struct{ cache client.Reader }

// Describe lists what Collect sends.
func (*brandCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{infoDesc, conditionDesc, lagDesc, suspendedDesc} {
		out <- d
	}
}

// Collect sends the state of every brand. Before the cache is there it sends nothing.
func (c *brandCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var brands v1alpha1.BrandConnectorList
	if err := c.cache.List(ctx, &brands, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	for i := range brands.Items {
		collectBrand(&brands.Items[i], out)
	}
}

func collectBrand(b *v1alpha1.BrandConnector, out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{b.Namespace, b.Name}, labels...)...)
	}
	gauge(infoDesc, 1, b.Spec.BrandID, b.Status.Image, b.Status.ConfigRevision)
	gauge(lagDesc, float64(b.Generation-max(b.Status.ObservedGeneration, 0)))
	gauge(suspendedDesc, map[bool]float64{true: 1}[b.Spec.Suspend])
	ready := false
	for _, c := range b.Status.Conditions {
		gauge(conditionDesc, 1, c.Type, string(c.Status), c.Reason)
		ready = ready || c.Type == v1alpha1.ConditionReady
	}
	if !ready {
		gauge(conditionDesc, 1, v1alpha1.ConditionReady, "Unknown", "NotReconciled")
	}
}
