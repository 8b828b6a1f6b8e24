// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// The suite runs one operator against a real API server. Each test has a namespace
// of its own. There are no controllers of Kubernetes: a test plays the Deployment's.
var (
	api    client.Client // the tests' own, past every cache
	config *rest.Config
	writes = &writeCounter{}
	spans  = tracetest.NewInMemoryExporter()
	gather = prometheus.NewRegistry()
)

const testImage = "registry.example/hexiao-connector@sha256:0123"

func TestMain(m *testing.M) {
	flag.Parse()
	// A worker of a fuzz target tries one input after the other, and needs no API server.
	if worker := flag.Lookup("test.fuzzworker"); worker != nil && worker.Value.String() == "true" {
		os.Exit(m.Run())
	}
	os.Exit(runSuite(m))
}

func runSuite(m *testing.M) int {
	log.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(logFile(), nil)))
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, "KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(hack/assets/assets)")
		return 1
	}
	gateway, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "find the Gateway API's CRDs:", err)
		return 1
	}
	env := &envtest.Environment{
		ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: 2 * time.Minute,
		CRDInstallOptions:     envtest.CRDInstallOptions{MaxTime: 2 * time.Minute},
		ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{
			"../config/crd",
			filepath.Join(strings.TrimSpace(string(gateway)), "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
		},
	}
	config, err = env.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the API server:", err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, err := startOperator(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the operator:", err)
		cancel()
		return 1
	}
	code := m.Run()
	cancel()
	<-done
	if err := env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the API server:", err)
	}
	return code
}

// logFile keeps the operator's log out of the tests' output unless asked for.
func logFile() *os.File {
	if path := os.Getenv("HEXIAO_TEST_LOG"); path != "" {
		if f, err := os.Create(path); err == nil {
			return f
		}
	}
	f, _ := os.Open(os.DevNull)
	return f
}

// startOperator starts the operator as cmd/manager does, with its writes counted.
func startOperator(ctx context.Context) (<-chan struct{}, error) {
	scheme, err := controllers.Scheme()
	if err != nil {
		return nil, err
	}
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if err := grantRoles(ctx); err != nil {
		return nil, err
	}
	// The operator has its generated roles and no more, so that every test is also
	// one of them.
	counted := rest.CopyConfig(config)
	counted.QPS = -1
	counted.Impersonate.UserName = operatorUser
	counted.WrapTransport = func(next http.RoundTripper) http.RoundTripper { return writes.wrap(next) }
	mgr, err := newOperator(ctx, counted, gather, part{selector: "!" + shardLabel, image: testImage, rollout: rollout.Policy{MaxConcurrent: 5}})
	if err != nil {
		return nil, err
	}
	return start(ctx, mgr), nil
}

// shardLabel of a brand that is not the suite's operator's, but that of a test.
const shardLabel = "example.com/shard"

// part of all brands, which one operator has.
type part struct {
	namespaces []string
	selector   string
	// ofFleet is true for one that counts as a part, and writes no class.
	ofFleet bool
	image   string
	rollout rollout.Policy
	// key of the installation, when it is not the tests'.
	key string
	// answerWithin is how long another operator may take to answer.
	answerWithin time.Duration
}

// newOperator sets an operator up as cmd/manager does.
func newOperator(ctx context.Context, config *rest.Config, registry prometheus.Registerer, of part) (ctrl.Manager, error) {
	scheme, err := controllers.Scheme()
	if err != nil {
		return nil, err
	}
	selector, err := labels.Parse(of.selector)
	if err != nil {
		return nil, err
	}
	classes := len(of.namespaces) == 0
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Cache:   controllers.CacheOptions(of.namespaces, selector, true, classes),
		Client:  controllers.ClientOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"},
		// Two operators in one process have controllers of the same name.
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return nil, err
	}
	served, err := controllers.ServesGatewayAPI(mgr.GetRESTMapper())
	if err != nil || !served {
		return nil, fmt.Errorf("the Gateway API is not found (%w)", err)
	}
	metrics, err := controllers.NewMetrics(registry, mgr.GetCache())
	if err != nil {
		return nil, err
	}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test")
	reconciler := controllers.New(controllers.Config{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("hexiao-operator"),
		Tracer: tracer, Clock: clock.RealClock{}, Metrics: metrics, GatewayAPI: served,
		Classes: classes, Rollout: of.rollout,
		Installation: render.Installation{Image: of.image, RevisionKey: []byte(cmp.Or(of.key, "key of the tests"))},
		Namespace:    "hexiao-system", AnswerWithin: of.answerWithin,
	})
	return mgr, reconciler.SetupWithManager(ctx, mgr, controllers.ControllerOptions{MaxConcurrentReconciles: 4, ReconciliationTimeout: time.Minute, PartOfFleet: of.ofFleet})
}

// start starts an operator. What it returns is closed when the operator has ended.
func start(ctx context.Context, mgr ctrl.Manager) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := mgr.Start(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "the operator ended:", err)
		}
	}()
	return done
}

// writeCounter counts the operator's writes by namespace, events left out.
type writeCounter struct {
	mu   sync.Mutex
	seen []string
}

func (w *writeCounter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method != http.MethodGet && !strings.Contains(req.URL.Path, "/events") {
			w.mu.Lock()
			w.seen = append(w.seen, req.Method+" "+req.URL.Path)
			w.mu.Unlock()
		}
		return next.RoundTrip(req)
	})
}

func (w *writeCounter) in(namespace string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for _, line := range w.seen {
		if strings.Contains(line, "/namespaces/"+namespace+"/") {
			found = append(found, line)
		}
	}
	return found
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// world is a namespace with one brand's Secrets.
type world struct {
	t         *testing.T
	namespace string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "brands-"}}
	must(t, api.Create(t.Context(), ns))
	w := &world{t: t, namespace: ns.Name}
	w.secret("kry", map[string]string{"appKey": "a", "token": "t"})
	w.secret("zhimai", map[string]string{"openId": "i", "openKey": "k", "grantCode": "g"})
	w.secret("ledger", map[string]string{"dsn": "postgres://u:p@pg:5432/l"})
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.namespace, Name: name}
}

// secret creates or replaces a Secret.
func (w *world) secret(name string, data map[string]string) {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: w.meta(name), StringData: data}
	err := api.Get(w.t.Context(), client.ObjectKeyFromObject(s), &corev1.Secret{})
	if err != nil {
		must(w.t, client.IgnoreNotFound(err))
		must(w.t, api.Create(w.t.Context(), s))
		return
	}
	must(w.t, api.Update(w.t.Context(), s))
}

// brand is a BrandConnector on PostgreSQL, not created yet.
func (w *world) brand(name string, change ...func(*v1alpha1.BrandConnector)) *v1alpha1.BrandConnector {
	b := &v1alpha1.BrandConnector{ObjectMeta: w.meta(name)}
	b.Spec = v1alpha1.BrandConnectorSpec{
		BrandID:   w.brandID(name),
		Keruyun:   v1alpha1.KeruyunSpec{CredentialsSecretRef: v1alpha1.LocalObjectReference{Name: "kry"}},
		Providers: v1alpha1.ProvidersSpec{Zhimai: &v1alpha1.ZhimaiSpec{CredentialsSecretRef: v1alpha1.LocalObjectReference{Name: "zhimai"}}},
		Routes: []v1alpha1.Route{{Name: "balance", Match: v1alpha1.RouteMatch{AssetMappingIDs: []string{"100001"}},
			Asset: v1alpha1.AssetStoredValue, Provider: v1alpha1.ProviderZhimai}},
		Ledger: v1alpha1.LedgerSpec{Postgres: &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: "dsn"}}},
	}
	for _, c := range change {
		c(b)
	}
	return b
}

// brandID is a number that no other brand has, in whatever world.
func (w *world) brandID(name string) string {
	sum := fnv.New64a()
	fmt.Fprint(sum, w.namespace, "/", name)
	return fmt.Sprint(sum.Sum64())
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	must(w.t, api.Create(w.t.Context(), o))
}

// get reads an object by name.
func (w *world) get(name string, o client.Object) error {
	return api.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, o)
}

func (w *world) mustGet(name string, o client.Object) {
	w.t.Helper()
	must(w.t, w.get(name, o))
}

// gone says what is wrong while an object is still there.
func (w *world) gone(name string, o client.Object) string {
	w.t.Helper()
	if err := w.get(name, o); !apierrors.IsNotFound(err) {
		return fmt.Sprintf("%T %s is still there (%v)", o, name, err)
	}
	return ""
}

// change updates the spec of a brand.
func (w *world) change(name string, change func(*v1alpha1.BrandConnector)) {
	w.t.Helper()
	b := &v1alpha1.BrandConnector{}
	w.mustGet(name, b)
	before := b.DeepCopy()
	change(b)
	must(w.t, api.Patch(w.t.Context(), b, client.MergeFrom(before)))
}

// eventually waits until a check says nothing. What it says last is the failure. It has
// patience with a busy machine: who does not wait in vain pays nothing for that.
func (w *world) eventually(check func() string) {
	w.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain: %s\nthe operator wrote:\n%s", problem, strings.Join(writes.in(w.namespace), "\n"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// condition waits for a condition of a brand at its newest generation.
func (w *world) condition(name, conditionType string, status metav1.ConditionStatus, reason string) metav1.Condition {
	w.t.Helper()
	var found metav1.Condition
	w.eventually(func() (problem string) {
		found, problem = w.conditionNow(name, conditionType, status, reason)
		return problem
	})
	return found
}

// conditionNow reads a condition of a brand, and says what it is if it is not as wanted.
func (w *world) conditionNow(name, conditionType string, status metav1.ConditionStatus, reason string) (metav1.Condition, string) {
	w.t.Helper()
	b := &v1alpha1.BrandConnector{}
	if err := w.get(name, b); err != nil {
		return metav1.Condition{}, err.Error()
	}
	c := meta.FindStatusCondition(b.Status.Conditions, conditionType)
	if c == nil || c.Status != status || c.Reason != reason || c.ObservedGeneration != b.Generation {
		return metav1.Condition{}, fmt.Sprintf("%s is %+v, want %s %s at generation %d (conditions %+v)", conditionType, c, status, reason, b.Generation, b.Status.Conditions)
	}
	return *c, ""
}

// settled forces a reconcile and waits until it was handled: everything that had
// happened before is then worked off.
func (w *world) settled(name string) {
	w.t.Helper()
	token := time.Now().Format(time.RFC3339Nano)
	w.change(name, func(b *v1alpha1.BrandConnector) {
		metav1.SetMetaDataAnnotation(&b.ObjectMeta, v1alpha1.AnnotationReconcileRequestedAt, token)
	})
	w.eventually(func() string {
		b := &v1alpha1.BrandConnector{}
		w.mustGet(name, b)
		if b.Status.LastHandledReconcileAt != token {
			return "the request to reconcile was not handled"
		}
		return ""
	})
}

// deployment waits for a brand's Deployment.
func (w *world) deployment(name string) *appsv1.Deployment {
	w.t.Helper()
	d := &appsv1.Deployment{}
	w.eventually(func() string {
		if err := w.get(name, d); err != nil {
			return err.Error()
		}
		return ""
	})
	return d
}

// rollOut plays the Deployment's controller: all Pods are there and available.
func (w *world) rollOut(name string) {
	w.t.Helper()
	d := &appsv1.Deployment{}
	w.eventually(func() string {
		b := &v1alpha1.BrandConnector{}
		w.mustGet(name, b)
		if err := w.get(name, d); err != nil {
			return err.Error()
		}
		if !metav1.IsControlledBy(d, b) {
			return "the Deployment is still that of a brand which is gone"
		}
		return ""
	})
	before := d.DeepCopy()
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation,
		Replicas:           *d.Spec.Replicas, UpdatedReplicas: *d.Spec.Replicas,
		ReadyReplicas: *d.Spec.Replicas, AvailableReplicas: *d.Spec.Replicas,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable"}},
	}
	must(w.t, api.Status().Patch(w.t.Context(), d, client.MergeFrom(before)))
}

// up creates a brand and plays its rollout.
func (w *world) up(b *v1alpha1.BrandConnector) {
	w.t.Helper()
	w.create(b)
	w.rollOut(b.Name)
	w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

func (w *world) revision(name string) string {
	return w.deployment(name).Spec.Template.Annotations[render.AnnotationConfigRevision]
}
