// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// memoryServer is an API server in memory, with the indexes of the operator's cache.
func memoryServer(scheme *runtime.Scheme) *fake.ClientBuilder {
	return fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1alpha1.BrandConnector{}, &v1alpha1.ConnectorClass{}).
		WithIndex(&v1alpha1.BrandConnector{}, indexClass, classIndex).
		WithIndex(&v1alpha1.BrandConnector{}, indexBrandID, brandIDIndex)
}

// against makes a Reconciler of one brand whose API server does as the funcs say.
func against(t *testing.T, b *v1alpha1.BrandConnector, funcs interceptor.Funcs) *Reconciler {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	objects := []client.Object{b}
	for _, doc := range strings.Split(sampleOf(t, "credentials.yaml"), "\n---\n") {
		secret := &corev1.Secret{}
		if err := yaml.Unmarshal([]byte(doc), secret); err != nil {
			t.Fatal(err)
		}
		secret.Namespace, secret.Data = b.Namespace, map[string][]byte{}
		for key, value := range secret.StringData {
			secret.Data[key] = []byte(value)
		}
		objects = append(objects, secret)
	}
	c := memoryServer(scheme).WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
	metrics, err := NewMetrics(prometheus.NewRegistry(), c)
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Client: c, APIReader: c, Recorder: events.NewFakeRecorder(100), Clock: clock.RealClock{}, Metrics: metrics,
		Installation: render.Installation{Image: "connector:1", RevisionKey: []byte("0123456789abcdef")}, Rollout: rollout.Policy{MaxConcurrent: 5}})
}

func sampleOf(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../config/samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// sampleBrand is the sample, whose spec has changed once.
func sampleBrand(t *testing.T) *v1alpha1.BrandConnector {
	t.Helper()
	b := &v1alpha1.BrandConnector{}
	if err := yaml.UnmarshalStrict([]byte(sampleOf(t, "xiaowang.yaml")), b); err != nil {
		t.Fatal(err)
	}
	b.Namespace, b.UID, b.Generation = "brands", "1", 2
	return b
}

// controller-runtime does not requeue a terminal error, whatever the result says.
func TestAStalledStatusThatMeetsAConflictIsWrittenLater(t *testing.T) {
	b := sampleBrand(t)
	b.Spec.Workload.Patch = &runtime.RawExtension{Raw: []byte(`{"spec":{"replicas":3}}`)} // stalls
	conflict := true
	r := against(t, b, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		if conflict {
			return apierrors.NewConflict(schema.GroupResource{Resource: "brandconnectors"}, o.GetName(), errors.New("the object has been modified"))
		}
		return c.SubResource(sub).Patch(ctx, o, p, opts...)
	}})
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}
	result, err := r.Reconcile(t.Context(), request)
	if err != nil || result.RequeueAfter != conflictPause {
		t.Errorf("with a conflict: %+v, %v; want to look again after %s", result, err, conflictPause)
	}
	conflict = false
	if _, err := r.Reconcile(t.Context(), request); !errors.Is(err, reconcile.TerminalError(nil)) {
		t.Errorf("without: %v, want a terminal error", err)
	}
}

func TestAReconcileThatFailsIsSeenInTheStatus(t *testing.T) {
	refusal := func(code int32, reason metav1.StatusReason) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: "failed calling webhook: took 12.3s"}}
	}
	internal, busy := refusal(500, metav1.StatusReasonInternalError), refusal(503, metav1.StatusReasonServiceUnavailable)
	for name, tc := range map[string]struct {
		err      error
		observed int64
		want     string // Ready's reason
	}{
		"a webhook is down, and the brand is new":          {internal, 0, v1alpha1.ReasonApplyFailed},
		"a webhook is down, and the spec has changed":      {internal, 1, v1alpha1.ReasonApplyFailed},
		"a webhook is down, and the spec has not":          {internal, 2, v1alpha1.ReasonApplyFailed},
		"the API server is busy, and the spec has changed": {busy, 1, v1alpha1.ReasonApplyFailed},
		"the API server is busy, and the spec has not":     {busy, 2, v1alpha1.ReasonReady},
		"the network is cut, and the spec has not":         {errors.New("connection refused"), 2, v1alpha1.ReasonReady},
	} {
		t.Run(name, func(t *testing.T) {
			b := sampleBrand(t)
			b.Status.ObservedGeneration = tc.observed
			if tc.observed > 0 {
				meta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue,
					Reason: v1alpha1.ReasonReady, ObservedGeneration: tc.observed})
			}
			r := against(t, b, interceptor.Funcs{Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
				return tc.err
			}})
			key := client.ObjectKeyFromObject(b)
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err == nil || errors.Is(err, reconcile.TerminalError(nil)) {
				t.Errorf("got %v, want an error that is tried again", err)
			}
			got := &v1alpha1.BrandConnector{}
			if err := r.Client.Get(t.Context(), key, got); err != nil {
				t.Fatal(err)
			}
			ready := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
			if ready == nil || ready.Reason != tc.want || (ready.Status == metav1.ConditionTrue) != (tc.want == v1alpha1.ReasonReady) {
				t.Fatalf("Ready is %+v, want %s", ready, tc.want)
			}
			if tc.want == v1alpha1.ReasonApplyFailed && (!meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionReconciling) || got.Status.ObservedGeneration != 2) {
				t.Errorf("observed generation %d, conditions %+v", got.Status.ObservedGeneration, got.Status.Conditions)
			}
			before := got.ResourceVersion
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err == nil {
				t.Error("the second try did not fail")
			}
			if err := r.Client.Get(t.Context(), key, got); err != nil {
				t.Fatal(err)
			}
			if got.ResourceVersion != before {
				t.Error("the next failure of the same kind was another write")
			}
		})
	}
}

func TestAReconcileWhoseTimeIsUpIsSeenInTheStatus(t *testing.T) {
	b := sampleBrand(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	r := against(t, b, interceptor.Funcs{
		Apply: func(ctx context.Context, _ client.WithWatch, _ runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
			<-ctx.Done()
			return apierrors.NewInternalError(errors.New("failed calling webhook"))
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	})
	key := client.ObjectKeyFromObject(b)
	if _, err := r.Reconcile(ctx, ctrl.Request{NamespacedName: key}); err == nil {
		t.Error("it did not fail")
	}
	got := &v1alpha1.BrandConnector{}
	if err := r.Client.Get(t.Context(), key, got); err != nil {
		t.Fatal(err)
	}
	if ready := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.Reason != v1alpha1.ReasonApplyFailed {
		t.Errorf("Ready is %+v, want %s", ready, v1alpha1.ReasonApplyFailed)
	}
}

func TestAnEventsNoteIsAsShortAsTheAPIServerDemands(t *testing.T) {
	for _, message := range []string{"", "short", strings.Repeat("x", maxNote), strings.Repeat("x", maxNote+1), strings.Repeat("储值卡", maxMessage/3)} {
		got := asNote(message)
		if len(got) > maxNote || !utf8.ValidString(got) || (len(message) <= maxNote) != (got == message) {
			t.Errorf("of %d bytes become %d: %q", len(message), len(got), got)
		}
	}
}
