// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

var secretWrittenDesc = prometheus.NewDesc("hexiao_brandconnector_secret_written_timestamp_seconds",
	"When a Secret that a BrandConnector refers to was given its data last, as the API server knows it, in seconds since 1970.",
	append(brandLabels[:2:2], "secret"), nil)

// secretTimes remembers when the Secrets were written that brands refer to, for the metric:
// whoever has to see to it that credentials are rotated asks how old they are. It is a memory,
// since no Secret is in the cache, and is full when every brand was looked at once.
type secretTimes struct {
	mu      sync.Mutex
	written map[types.NamespacedName]map[string]time.Time
}

func newSecretTimes() *secretTimes {
	return &secretTimes{written: map[types.NamespacedName]map[string]time.Time{}}
}

// set replaces what is known of a brand's Secrets, by name.
func (t *secretTimes) set(brand types.NamespacedName, written map[string]time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written[brand] = written
}

func (t *secretTimes) forget(brand types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.written, brand)
}

// Describe lists what Collect sends.
func (*secretTimes) Describe(out chan<- *prometheus.Desc) { out <- secretWrittenDesc }

// Collect sends the time of each Secret of each brand.
func (t *secretTimes) Collect(out chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for brand, secrets := range t.written {
		for name, at := range secrets {
			out <- prometheus.MustNewConstMetric(secretWrittenDesc, prometheus.GaugeValue, float64(at.Unix()), brand.Namespace, brand.Name, name)
		}
	}
}

// dataWritten is when somebody who owns data of a Secret wrote it last, to the second. A
// label that a policy puts on does not make old credentials young; who is unknown leaves the
// day on which the Secret was made.
func dataWritten(s *corev1.Secret) time.Time {
	at := s.CreationTimestamp.Time
	for _, f := range s.ManagedFields {
		if f.Time == nil || f.FieldsV1 == nil || !f.Time.After(at) {
			continue
		}
		var owned struct {
			Data map[string]any `json:"f:data"`
		}
		if err := json.Unmarshal(f.FieldsV1.GetRawBytes(), &owned); err == nil && len(owned.Data) > 0 {
			at = f.Time.Time
		}
	}
	return at
}
