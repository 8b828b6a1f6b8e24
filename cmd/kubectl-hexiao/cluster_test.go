// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
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
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

const operatorImage = "registry.example/hexiao/connector@sha256:0123"

// cluster is a real API server with the operator, for the tests that ask for one. There
// are no controllers of Kubernetes: a test plays the Deployment's.
type cluster struct {
	api        client.Client
	kubeconfig []byte
	stop       func()
}

var startCluster = sync.OnceValues(func() (*cluster, error) {
	log.SetLogger(logr.Discard())
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, fmt.Errorf("KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(hack/assets/assets)")
	}
	gateway, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return nil, fmt.Errorf("find the Gateway API's CRDs: %w", err)
	}
	env := &envtest.Environment{ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: atMost, ControlPlaneStopTimeout: atMost, CRDDirectoryPaths: []string{
		"../../config/crd",
		filepath.Join(strings.TrimSpace(string(gateway)), "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
	}}
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("start the API server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &cluster{kubeconfig: env.KubeConfig, stop: func() { cancel(); _ = env.Stop() }}
	if c.api, err = runOperator(ctx, config); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
})

func runOperator(ctx context.Context, config *rest.Config) (client.Client, error) {
	scheme, err := controllers.Scheme()
	if err != nil {
		return nil, err
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: controllers.CacheOptions(nil, labels.Everything(), true, true), Client: controllers.ClientOptions()})
	if err != nil {
		return nil, err
	}
	metrics, err := controllers.NewMetrics(prometheus.NewRegistry(), mgr.GetCache())
	if err != nil {
		return nil, err
	}
	operator := controllers.New(controllers.Config{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("hexiao-operator"),
		Clock: clock.RealClock{}, Metrics: metrics, GatewayAPI: true, Classes: true, Rollout: rollout.Policy{MaxConcurrent: 5},
		Installation: render.Installation{Image: operatorImage, ImagePullSecrets: []string{"registry-of-the-flag"}, RevisionKey: []byte("key of the tests"),
			MonitoringNamespaces: map[string]string{"team": "monitoring"}, ClientNamespaces: map[string]string{"team": "gateways"}},
	})
	if err := operator.SetupWithManager(ctx, mgr, controllers.ControllerOptions{MaxConcurrentReconciles: 4, ReconciliationTimeout: time.Minute}); err != nil {
		return nil, err
	}
	go func() {
		if err := mgr.Start(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "the operator ended:", err)
		}
	}()
	return api, nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if c, err := startCluster(); err == nil {
			c.stop()
		}
	}
	os.Exit(code)
}

// atMost is for what hangs: a machine may be busy.
const atMost = 3 * time.Minute

// started is true when a test asked for the cluster.
var started bool

// world is a namespace of that cluster with the Secrets of a brand, and what the plugin
// reads its kubeconfig from.
type world struct {
	t         *testing.T
	api       client.Client
	namespace string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	started = true
	c, err := startCluster()
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "brands-"}}
	if err := c.api.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", write(t, filepath.Join(t.TempDir(), "kubeconfig"), string(c.kubeconfig)))
	w := &world{t: t, api: c.api, namespace: ns.Name}
	w.create(w.secret("kry", map[string]string{"appKey": "canary1", "token": "canary2"}))
	w.create(w.secret("zm", map[string]string{"openId": "canary3", "openKey": "canary4", "grantCode": "canary5"}))
	w.create(w.secret("pg", map[string]string{"dsn": "postgres://u:canary6@pg.databases.svc:6432/l"}))
	return w
}

func (w *world) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.namespace, Name: name}
}

func (w *world) secret(name string, data map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: w.meta(name), StringData: data}
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.api.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

// role lets a user do things in this namespace, and waits until the authorizer has heard
// of it.
func (w *world) role(user string, rules ...rbacv1.PolicyRule) {
	w.t.Helper()
	w.create(&rbacv1.Role{ObjectMeta: w.meta(user), Rules: rules})
	w.create(&rbacv1.RoleBinding{ObjectMeta: w.meta(user), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}})
	for _, rule := range rules {
		asked := authorizationv1.ResourceAttributes{Namespace: w.namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: rule.Resources[0]}
		if len(rule.ResourceNames) > 0 {
			asked.Name = rule.ResourceNames[0]
		}
		w.eventually(func() string {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &asked}}
			w.create(review)
			if !review.Status.Allowed {
				return fmt.Sprintf("%s may not yet %s %s: %s", user, asked.Verb, asked.Resource, review.Status.Reason)
			}
			return ""
		})
	}
}

func (w *world) get(name string, o client.Object) {
	w.t.Helper()
	if err := w.api.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, o); err != nil {
		w.t.Fatal(err)
	}
}

// onPostgres is brandFile with another ledger, and more spec.
func onPostgres(spec string) string {
	return strings.Replace(brandFile, "{embedded: {}}", "{postgres: {dsnSecretRef: {name: pg, key: dsn}}}", 1) + spec
}

func (w *world) file(text string) string {
	return write(w.t, filepath.Join(w.t.TempDir(), "brand.yaml"), text)
}

// up creates a brand and waits until the operator has made its objects.
func (w *world) up(text string) *v1alpha1.BrandConnector {
	w.t.Helper()
	b := &v1alpha1.BrandConnector{}
	if err := v1alpha1.Decode([]byte(text), b); err != nil {
		w.t.Fatal(err)
	}
	b.Namespace = w.namespace
	w.create(b)
	w.handled(b)
	return b
}

// handled waits until the operator has looked at a brand's newest generation.
func (w *world) handled(b *v1alpha1.BrandConnector) {
	w.t.Helper()
	w.eventually(func() string {
		w.get(b.Name, b)
		if b.Status.ObservedGeneration != b.Generation || b.Status.ConfigRevision == "" {
			return fmt.Sprintf("the operator has not handled %s: %+v", b.Name, b.Status)
		}
		return ""
	})
}

func (w *world) eventually(check func() string) {
	w.t.Helper()
	deadline := time.Now().Add(atMost)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain: %s", problem)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// run runs the plugin in this namespace.
func (w *world) run(args ...string) (code int, out, errOut string) {
	w.t.Helper()
	return plugin(w.t, "", append(args, "-n", w.namespace)...)
}

// rollOut plays the Deployment's controller: all Pods are there and available.
func (w *world) rollOut(name string) {
	w.t.Helper()
	d := &appsv1.Deployment{}
	w.get(name, d)
	before := d.DeepCopy()
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable"}}}
	if err := w.api.Status().Patch(w.t.Context(), d, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
	w.eventually(func() string {
		b := &v1alpha1.BrandConnector{}
		w.get(name, b)
		if !meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionWorkloadAvailable) {
			return fmt.Sprintf("the operator has not seen the rollout: %+v", b.Status.Conditions)
		}
		return ""
	})
}
