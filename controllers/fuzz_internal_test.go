// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// planted is in each Secret's value, and nowhere else.
const planted = "c4n4ry-0f-a-s3cr3t"

// choices are made by the bytes of a fuzz input, one byte each. When there are none left,
// each is the first.
type choices struct{ left []byte }

func (c *choices) n(among int) int {
	if len(c.left) == 0 {
		return 0
	}
	is := int(c.left[0]) % among
	c.left = c.left[1:]
	return is
}

// rarely is true once in four times.
func (c *choices) rarely() bool { return c.n(4) == 3 }

func oneOf[T any](c *choices, among ...T) T { return among[c.n(len(among))] }

// FuzzReconcile demands of any brand, class and cluster, however much of it is somebody
// else's or broken, that a reconcile does not panic, touches nothing but what is the brand's,
// says a status that tools read alike, tells no secret, and comes to rest.
//
// The bytes are choices among the parts of a cluster: see newFuzzWorld.
func FuzzReconcile(f *testing.F) {
	brands := goldenBrands(f)
	scheme, err := Scheme()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	random := rand.New(rand.NewPCG(1, 2)) // seeds are the same each time
	for n := range 8 {
		seed := make([]byte, 16+n*16)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		seed[0] = byte(n)
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := newFuzzWorld(t, scheme, brands, &choices{raw})
		others := w.others()
		for range 3 {
			w.reconcile()
			w.checkStatus()
		}
		if len(w.writes) > 0 {
			t.Errorf("the third reconcile wrote %v", w.writes)
		}
		if diff := cmp.Diff(others, w.others()); diff != "" {
			t.Errorf("what is somebody else's is another (-before +after):\n%s", diff)
		}
		w.checkOneWriter()
		w.rollsOut()
		for range 3 {
			w.reconcile()
			w.checkStatus()
		}
		if len(w.writes) > 0 {
			t.Errorf("of a brand that has rolled out, the third reconcile wrote %v", w.writes)
		}
		if w.is(v1alpha1.ConditionReady) && !w.is(v1alpha1.ConditionContested) {
			w.operator = New(w.operator.Config)
			if w.reconcile(); len(w.writes) > 0 {
				t.Errorf("an operator that started anew wrote %v", w.writes)
			}
		}
	})
}

// fuzzWorld is a cluster with one brand of interest.
type fuzzWorld struct {
	t      *testing.T
	server client.WithWatch
	brand  *v1alpha1.BrandConnector
	// operator has a cache of what has its label.
	operator *Reconciler
	// writes of the last reconcile, and its result.
	writes []string
	err    error
}

func goldenBrands(f *testing.F) []*v1alpha1.BrandConnector {
	f.Helper()
	names, err := filepath.Glob("render/testdata/*.in.yaml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no brands (%v)", err)
	}
	var brands []*v1alpha1.BrandConnector
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		doc, _, _ := bytes.Cut(raw, []byte("\n---\n"))
		b := &v1alpha1.BrandConnector{}
		if err := yaml.UnmarshalStrict(doc, b); err != nil {
			f.Fatal(err)
		}
		brands = append(brands, b)
	}
	return brands
}

func newFuzzWorld(t *testing.T, scheme *runtime.Scheme, brands []*v1alpha1.BrandConnector, c *choices) *fuzzWorld {
	t.Helper()
	w := &fuzzWorld{t: t, brand: anyBrand(c, brands)}
	class := anyClass(c)
	objects := []client.Object{w.brand}
	if class != nil {
		objects = append(objects, class)
	}
	objects = append(objects, anySecrets(c, v1alpha1.Resolve(w.brand, class))...)
	objects = append(objects, anyChildren(c, w.brand)...)
	objects = append(objects, anyPods(c, w.brand)...)
	if c.rarely() {
		twin := w.brand.DeepCopy()
		twin.Name, twin.UID = "twin", "twin"
		objects = append(objects, twin)
	}
	// The converter of real types takes long to make, and applyWhole asks none.
	w.server = memoryServer(scheme).WithTypeConverters(managedfields.NewDeducedTypeConverter()).WithObjects(objects...).Build()
	cache := interceptor.NewClient(w.server, w.counting())
	metrics, err := NewMetrics(prometheus.NewRegistry(), cache)
	if err != nil {
		t.Fatal(err)
	}
	w.operator = New(Config{Client: cache, APIReader: interceptor.NewClient(w.server, warning(oneOf(c, "", "no volume", "it holds "+planted))), Recorder: &events.FakeRecorder{}, Metrics: metrics,
		Clock: testclock.NewFakePassiveClock(time.Unix(1000, 0)), GatewayAPI: !c.rarely(), Classes: c.n(16) != 15, Namespace: "hexiao-system",
		Installation: render.Installation{Image: "connector:1", RevisionKey: []byte("0123456789abcdef")}, Rollout: rollout.Policy{MaxConcurrent: 1, Paused: c.rarely()}})
	return w
}

// anyBrand is a golden one that was changed here and there, with whatever status.
func anyBrand(c *choices, brands []*v1alpha1.BrandConnector) *v1alpha1.BrandConnector {
	b := brands[c.n(len(brands))].DeepCopy()
	b.Namespace, b.UID, b.Generation = "brands", "1", 2
	spec, with := &b.Spec, &b.Spec.Workload
	for range c.n(5) {
		oneOf(c,
			func() { spec.ConnectorClassName = oneOf(c, "", "", "standard", "default") },
			func() { spec.Ledger = v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{}} },
			func() { spec.Exposure = nil },
			func() {
				spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "h", GatewayRef: &v1alpha1.GatewayReference{Name: "g"}}
			},
			func() {
				spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "h", IngressClassName: "i", TLSSecretRef: &v1alpha1.LocalObjectReference{Name: "tls"}}
			},
			func() { spec.Reconciliation = &v1alpha1.ReconciliationSpec{Schedule: oneOf(c, "@daily", "never")} },
			func() { spec.Retention = &v1alpha1.RetentionSpec{Schedule: "@daily", OlderThan: 400} },
			func() {
				with.Replicas, with.Autoscaling = oneOf(c, nil, new(int32(0)), new(int32(1)), new(int32(3))), nil
			},
			func() { with.Replicas, with.Autoscaling = nil, &v1alpha1.AutoscalingSpec{MaxReplicas: 3} },
			func() { with.Patch = anyPatch(c) },
			func() { b.Labels = map[string]string{"tier": "canary"} },
			func() { b.Annotations = map[string]string{v1alpha1.AnnotationReconcileRequestedAt: "now"} },
		)()
	}
	if c.rarely() { // it cannot run, or must not
		oneOf(c,
			func() { spec.Suspend = true },
			func() { spec.Ledger = v1alpha1.LedgerSpec{} },
			func() { spec.Exposure = &v1alpha1.ExposureSpec{} },
			func() { spec.Routes = nil },
			func() { spec.Providers = v1alpha1.ProvidersSpec{} },
			func() { spec.BrandID = "" },
		)()
	}
	for range c.n(4) {
		status := &b.Status
		oneOf(c,
			func() { status.ObservedGeneration = oneOf(c, int64(-1), 1, 2, 3) },
			func() {
				for _, kind := range []string{"Ready", "Reconciling", "Stalled", "Suspended", "Contested", "BrandIDShared", "Exposed"} {
					if c.n(2) == 1 {
						meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: kind, Status: oneOf(c, metav1.ConditionTrue, metav1.ConditionFalse), Reason: "Earlier", Message: "earlier"})
					}
				}
			},
			func() {
				status.ConfigRevision, status.Resolved = "1", &v1alpha1.ResolvedStatus{Ledger: oneOf(c, "embedded", "postgres:ledger/dsn", "")}
			},
			func() {
				status.Objects = []v1alpha1.AppliedObject{{Kind: "Deployment", Name: b.Name, Digest: "1"}, {Kind: "X", Name: "x", Digest: "2"}}
			},
		)()
	}
	return b
}

func anyPatch(c *choices) *runtime.RawExtension {
	return &runtime.RawExtension{Raw: []byte(oneOf(c, `{}`, `null`, `{"spec":{"replicas":2}}`, `{"spec":{"strategy":null}}`, `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"x"}}}`,
		`{"spec":{"template":{"spec":{"containers":[{"name":"shipper","image":"x"}]}}}}`, `{"spec":{"selector":{"matchLabels":{"a":"b"}}}}`, `{"spec":7}`))}
}

func anyClass(c *choices) *v1alpha1.ConnectorClass {
	name := oneOf(c, "", "standard", "default")
	if name == "" {
		return nil
	}
	class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "class", Generation: 1}}
	spec := &class.Spec
	for range c.n(4) {
		oneOf(c,
			func() { spec.Rollout.Paused = true },
			func() {
				spec.Rollout.Canary = &v1alpha1.CanaryPolicy{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"tier": "canary"}}}
			},
			func() {
				spec.Rollout.Canary = &v1alpha1.CanaryPolicy{Selector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: "Near"}}}}
			},
			func() { spec.Ledger = &v1alpha1.ClassLedger{Embedded: &v1alpha1.EmbeddedLedger{}} },
			func() {
				spec.Ledger = &v1alpha1.ClassLedger{Postgres: &v1alpha1.ClassPostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: "dsn"}, SchemaPrefix: "b_"}}
			},
			func() { spec.Ledger = &v1alpha1.ClassLedger{} },
			func() { spec.Workload.Patch = anyPatch(c) },
			func() { spec.Exposure = &v1alpha1.ClassExposure{Hostname: "{name}.example.com", IngressClassName: "i"} },
			func() { spec.Exposure = &v1alpha1.ClassExposure{} },
			func() { spec.Workload.Replicas = new(int32(5)) },
		)()
	}
	return class
}

// anySecrets are what a brand refers to, as far as it is there and is of use.
func anySecrets(c *choices, b *v1alpha1.BrandConnector) []client.Object {
	data := map[string]map[string][]byte{}
	var objects []client.Object
	broken := c.n(8) == 7
	for _, need := range render.Needs(b) {
		id := string(need.Source) + "/" + need.Name
		value := "- {kryShopID: '1', alsc: {shopID: '2'}}"
		switch {
		case need.DSN:
			value = "postgres://u:" + planted + "@pg.databases.svc:6432/l"
		case need.Source == render.SourceSecret:
			value = planted
		}
		if broken && c.n(2) == 1 {
			value = oneOf(c, "", planted+"\nx", "postgres://"+planted+" @x:7/", "\x00"+planted)
		}
		if data[id] == nil {
			data[id] = map[string][]byte{}
			meta := metav1.ObjectMeta{Namespace: b.Namespace, Name: need.Name}
			switch {
			case need.Name == "" || broken && c.n(2) == 1:
			case need.Source == render.SourceSecret:
				objects = append(objects, &corev1.Secret{ObjectMeta: meta, Data: data[id]})
			default:
				objects = append(objects, &corev1.ConfigMap{ObjectMeta: meta, BinaryData: data[id]})
			}
		}
		if !broken || c.n(2) == 0 {
			data[id][need.Key] = []byte(value)
		}
	}
	return objects
}

// fuzzKinds are the kinds of a brand's objects, with the end of the name.
var fuzzKinds = []struct {
	kind schema.GroupVersionKind
	end  string
}{
	{render.DeploymentKind, ""}, {render.ClaimKind, "-ledger"}, {render.ServiceKind, ""}, {render.ConfigMapKind, ""}, {render.ServiceAccountKind, ""}, {render.NetworkPolicyKind, ""},
	{render.BudgetKind, ""}, {render.AutoscalerKind, ""}, {render.HTTPRouteKind, ""}, {render.IngressKind, ""}, {render.NetworkPolicyKind, "-jobs"},
	{render.CronJobKind, "-reconciliation"}, {render.CronJobKind, "-retention"},
}

// anyChildren are objects of the names that the brand's would have: its own, somebody
// else's, and such as are half of one.
func anyChildren(c *choices, b *v1alpha1.BrandConnector) []client.Object {
	owner := func(kind, name string, uid types.UID, controls *bool) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Name: name, UID: uid, Controller: controls}}
	}
	var objects []client.Object
	for _, k := range fuzzKinds {
		if c.n(8) != 7 {
			continue
		}
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetGroupVersionKind(k.kind)
		u.SetNamespace(b.Namespace)
		u.SetName(b.Name + k.end)
		u.SetUID(types.UID("of " + k.kind.Kind + k.end))
		u.SetGeneration(int64(c.n(2)))
		own := owner(v1alpha1.KindBrandConnector, b.Name, b.UID, new(true))
		u.SetOwnerReferences(oneOf(c, own, own, own, own, nil,
			owner("Helm", "x", "9", new(true)), owner(v1alpha1.KindBrandConnector, b.Name, "0", new(true)), owner(v1alpha1.KindBrandConnector, b.Name, b.UID, nil)))
		u.SetLabels(oneOf(c, render.Labels(b), nil, map[string]string{render.LabelManagedBy: render.ManagedBy}, map[string]string{"app": "x"}))
		u.SetAnnotations(oneOf(c, nil, map[string]string{render.AnnotationBrandID: b.Spec.BrandID, render.AnnotationLedger: "embedded"},
			map[string]string{render.AnnotationIntent: "0.1.2", render.AnnotationPlatformRevision: "9", render.AnnotationTemplateHash: "8"},
			map[string]string{render.AnnotationIntent: "...", render.AnnotationBrandID: "x", render.AnnotationLedger: "x:"}))
		u.Object = maps.Clone(u.Object)
		if k.kind == render.DeploymentKind {
			anyOldDeployment(c, u)
		}
		if k.kind == render.ClaimKind {
			u.Object["status"] = map[string]any{"phase": oneOf(c, "Bound", "Pending", "Lost", "")}
		}
		objects = append(objects, u)
	}
	return objects
}

func anyOldDeployment(c *choices, u *unstructured.Unstructured) {
	if c.n(2) == 0 {
		return
	}
	u.Object["spec"] = map[string]any{"replicas": int64(c.n(3)), "paused": c.rarely(), "template": map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{render.AnnotationConfigRevision: "r"}},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": oneOf(c, render.ContainerName, "x"), "image": "connector:0"}}}}}
	condition := func(kind, reason string) any {
		return map[string]any{"type": kind, "status": oneOf(c, "True", "False", "Unknown"), "reason": reason}
	}
	u.Object["status"] = map[string]any{"observedGeneration": int64(c.n(3)), "replicas": int64(c.n(3)), "updatedReplicas": int64(c.n(3)), "availableReplicas": int64(c.n(3)),
		"conditions": []any{condition("Available", "x"), condition("Progressing", oneOf(c, "ProgressDeadlineExceeded", "NewReplicaSetAvailable")), condition("ReplicaFailure", "FailedCreate")}}
}

// anyPods are Pods of the brand that do not come up.
func anyPods(c *choices, b *v1alpha1.BrandConnector) []client.Object {
	var objects []client.Object
	for i := range c.n(3) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: fmt.Sprint("pod-", i), Labels: render.SelectorLabels(b)}}
		pod.Status.Phase = oneOf(c, corev1.PodPending, corev1.PodRunning, corev1.PodFailed, "")
		said := oneOf(c, "", "password "+planted+" is wrong", strings.Repeat("长", 2000), "\xff\x00")
		state := oneOf(c, corev1.ContainerState{}, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: oneOf(c, "CrashLoopBackOff", "ImagePullBackOff", ""), Message: said}},
			corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: oneOf(c, int32(75), 1, 0), Message: said}}, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
		if c.n(2) == 1 {
			pod.Spec.Containers = []corev1.Container{{Name: render.ContainerName, Image: "connector:1"}}
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: render.ContainerName, State: state, LastTerminationState: state, RestartCount: 3}}
		}
		objects = append(objects, pod)
	}
	return objects
}

// counting makes a cache of an API server, with what has the operator's label, and notes
// each write.
func (w *fuzzWorld) counting() interceptor.Funcs {
	wrote := func(verb string, o client.Object) {
		w.writes = append(w.writes, fmt.Sprintf("%s %T %s", verb, o, o.GetName()))
	}
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := c.Get(ctx, key, o, opts...); err != nil {
				return err
			}
			switch o.(type) {
			case *v1alpha1.BrandConnector, *v1alpha1.ConnectorClass:
				return nil
			}
			if o.GetLabels()[render.LabelManagedBy] != render.ManagedBy && o.GetObjectKind().GroupVersionKind().Kind != "Secret" {
				return apierrors.NewNotFound(schema.GroupResource{Resource: "cached"}, key.Name)
			}
			return nil
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			raw, err := json.Marshal(o)
			if err != nil {
				return err
			}
			u := &unstructured.Unstructured{}
			if err := u.UnmarshalJSON(raw); err != nil {
				return err
			}
			w.writes = append(w.writes, "apply "+u.GetKind()+" "+u.GetName())
			return applyWhole(ctx, c, o, opts...)
		},
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			return fmt.Errorf("the operator creates %T", o)
		},
		Update: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.UpdateOption) error {
			return fmt.Errorf("the operator updates %T", o)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			wrote("delete", o)
			return c.Delete(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			wrote("patch", o)
			return c.Patch(ctx, o, p, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			wrote("patch the "+sub+" of", o)
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}
}

// warning makes an API server that has one event of everything, for the fake one cannot
// select events by their fields.
func warning(note string) interceptor.Funcs {
	return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if all, ok := list.(*eventsv1.EventList); ok {
			all.Items = []eventsv1.Event{{Reason: "Failed", Note: note}}
			return nil
		}
		return c.List(ctx, list, opts...)
	}}
}

func (w *fuzzWorld) reconcile() {
	w.t.Helper()
	w.writes = nil
	_, w.err = w.operator.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(w.brand)})
	if w.err != nil && strings.Contains(w.err.Error(), planted) {
		w.t.Errorf("a Secret's value is in an error: %v", w.err)
	}
	if err := w.server.Get(w.t.Context(), client.ObjectKeyFromObject(w.brand), w.brand); err != nil {
		w.t.Fatal(err)
	}
}

func (w *fuzzWorld) is(condition string) bool {
	return meta.IsStatusConditionTrue(w.brand.Status.Conditions, condition)
}

// checkStatus demands what the API's schema and kstatus do.
func (w *fuzzWorld) checkStatus() {
	w.t.Helper()
	if raw, err := json.Marshal(w.brand.Status); err != nil || bytes.Contains(raw, []byte(planted)) {
		w.t.Errorf("the status (%v) holds a Secret's value: %s", err, raw)
	}
	if w.operator.contests.isAside(client.ObjectKeyFromObject(w.brand)) {
		return // it is the other operator's
	}
	if w.err != nil && strings.Contains(w.err.Error(), "the operator applied no pod template") {
		return // of a Deployment that is held; applyWhole does not keep whose fields are whose
	}
	if w.err != nil && !errors.Is(w.err, reconcile.TerminalError(nil)) && !isFault(w) {
		w.t.Errorf("the reconcile failed: %v", w.err)
		return
	}
	status := &w.brand.Status
	if status.ObservedGeneration != w.brand.Generation || len(status.Conditions) > 16 || len(status.Objects) > 32 || len(status.Image) > 512 {
		w.t.Errorf("the status is %+v", status)
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	reconciling, stalled := w.is(v1alpha1.ConditionReconciling), w.is(v1alpha1.ConditionStalled)
	if ready == nil || (ready.Status == metav1.ConditionTrue) != (!reconciling && !stalled) || reconciling && stalled {
		w.t.Fatalf("Ready is %+v, Reconciling %t, Stalled %t", ready, reconciling, stalled)
	}
	want := "InProgress"
	switch {
	case stalled:
		want = "Failed"
	case !reconciling:
		want = "Current"
	}
	if got := kstatus(w.brand); got != want {
		w.t.Errorf("kstatus reads %s, want %s: %+v", got, want, status.Conditions)
	}
	for _, c := range status.Conditions {
		if c.Reason == "" || c.Message == "" || len([]rune(c.Message)) > maxMessage || c.Reason == "Earlier" && c.Type != v1alpha1.ConditionContested {
			w.t.Errorf("the condition %+v", c)
		}
	}
}

// isFault says that an error is what Ready says too.
func isFault(w *fuzzWorld) bool {
	ready := meta.FindStatusCondition(w.brand.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Status == metav1.ConditionFalse && strings.HasPrefix(ready.Message, firstLine(w.err.Error()))
}

// others are all objects that are not the brand's.
func (w *fuzzWorld) others() map[string]any {
	w.t.Helper()
	kinds := []schema.GroupVersionKind{{Version: "v1", Kind: "Secret"}, {Version: "v1", Kind: "Pod"}, v1alpha1.GroupVersion.WithKind(v1alpha1.KindBrandConnector), v1alpha1.GroupVersion.WithKind(v1alpha1.KindConnectorClass)}
	for _, k := range fuzzKinds {
		kinds = append(kinds, k.kind)
	}
	all := map[string]any{}
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := w.server.List(w.t.Context(), list); err != nil {
			w.t.Fatal(err)
		}
		for _, o := range list.Items {
			ours := metav1.IsControlledBy(&o, w.brand) || o.GetUID() == w.brand.UID || o.GetUID() == "" && kind.Kind != "Secret" && kind.Kind != "Pod" && kind.Kind != "ConfigMap"
			retained := kind == render.ClaimKind && metav1.GetControllerOf(&o) == nil && o.GetAnnotations()[render.AnnotationBrandID] == w.brand.Spec.BrandID && o.GetLabels()[render.LabelInstance] == w.brand.Name
			if !ours && !retained {
				all[kind.Kind+" "+o.GetName()] = o.Object
			}
		}
	}
	return all
}

// checkOneWriter demands that no Deployment which the operator made lets two Pods have an
// embedded ledger open.
func (w *fuzzWorld) checkOneWriter() {
	w.t.Helper()
	d := w.deployment()
	if d == nil || d.Annotations[render.AnnotationLedger] != "embedded" || len(d.Annotations[render.AnnotationTemplateHash]) < 32 {
		return
	}
	if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || d.Spec.Replicas == nil || *d.Spec.Replicas > 1 {
		w.t.Errorf("replicas %v, strategy %+v: two Pods would have the ledger open", d.Spec.Replicas, d.Spec.Strategy)
	}
}

// deployment is the brand's, or nil.
func (w *fuzzWorld) deployment() *appsv1.Deployment {
	w.t.Helper()
	d := &appsv1.Deployment{}
	err := w.server.Get(w.t.Context(), client.ObjectKeyFromObject(w.brand), d)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err != nil || !metav1.IsControlledBy(d, w.brand) {
		return nil
	}
	return d
}

// rollsOut plays the Deployment's controller: all Pods are there and available.
func (w *fuzzWorld) rollsOut() {
	w.t.Helper()
	d := w.deployment()
	if d == nil {
		return
	}
	n := int32(1)
	if d.Spec.Replicas != nil {
		n = *d.Spec.Replicas
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}, {Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"}}}
	if err := w.server.Status().Update(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
}
