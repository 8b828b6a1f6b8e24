// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestDataWritten(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	wrote := func(n int, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: "m", Time: &metav1.Time{Time: day(n)}, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const data, label = `{"f:data":{".":{},"f:token":{}}}`, `{"f:metadata":{"f:labels":{"f:data":{}}}}`
	timeless := wrote(9, data)
	timeless.Time = nil
	for name, tc := range map[string]struct {
		fields []metav1.ManagedFieldsEntry
		want   int
	}{
		"nobody is known to have written it":           {nil, 1},
		"its data was written after it was made":       {[]metav1.ManagedFieldsEntry{wrote(5, data)}, 5},
		"a label came later":                           {[]metav1.ManagedFieldsEntry{wrote(5, data), wrote(7, label)}, 5},
		"two own data of it":                           {[]metav1.ManagedFieldsEntry{wrote(6, data), wrote(4, data)}, 6},
		"an entry that has no time":                    {[]metav1.ManagedFieldsEntry{timeless}, 1},
		"an entry that has no fields":                  {[]metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: day(8)}}}, 1},
		"an entry that is older than the Secret":       {[]metav1.ManagedFieldsEntry{wrote(0, data)}, 1},
		"fields that are not in the form of version 1": {[]metav1.ManagedFieldsEntry{wrote(8, `{"f:data":`)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Time{Time: day(1)}, ManagedFields: tc.fields}}
			if got := dataWritten(s); !got.Equal(day(tc.want)) {
				t.Errorf("written %s, want %s", got, day(tc.want))
			}
		})
	}
}

func TestSecretTimesLeaveNothingBehind(t *testing.T) {
	times, registry := newSecretTimes(), prometheus.NewPedanticRegistry()
	registry.MustRegister(times)
	expect := func(want map[string]float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				got[fmt.Sprint(f.GetName(), m.GetLabel())] = m.GetGauge().GetValue()
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("series (-want +got):\n%s", diff)
		}
	}
	brand := types.NamespacedName{Namespace: "brands", Name: "xiaowang"}
	times.set(brand, map[string]time.Time{"kry": time.Unix(1000, 0), "old": time.Unix(1, 0)})
	times.set(brand, map[string]time.Time{"kry": time.Unix(2000, 0)})
	label := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
	expect(map[string]float64{fmt.Sprint("hexiao_brandconnector_secret_written_timestamp_seconds",
		[]*dto.LabelPair{label("name", "xiaowang"), label("namespace", "brands"), label("secret", "kry")}): 2000})
	times.forget(brand)
	expect(map[string]float64{})
}
