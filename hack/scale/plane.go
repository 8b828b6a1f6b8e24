// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/hexiao-dev/hexiao/controllers"
	"github.com/hexiao-dev/hexiao/hack/cluster/binaries"
	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

const (
	// operatorNamespace and operatorName are those of config/rbac.
	operatorNamespace = "hexiao-system"
	operatorName      = "hexiao-manager"
	operatorUser      = "system:serviceaccount:" + operatorNamespace + ":" + operatorName
)

// plane is a control plane without a node: etcd, kube-apiserver and kube-controller-manager on loopback.
type plane struct {
	// api is the administrator's.
	api         client.Client
	config      *rest.Config
	audit       *auditLog
	directory   string
	environment *envtest.Environment
	controllers *process
}

// startPlane starts a control plane whose files are in directory. What it returns is to be stopped even with an error.
func startPlane(ctx context.Context, directory string, say progress.Printer) (*plane, error) {
	programs, err := findPrograms(ctx, say)
	if err != nil {
		return nil, err
	}
	p := &plane{directory: directory, audit: &auditLog{path: filepath.Join(directory, "audit.log")}}
	policy := filepath.Join(directory, "audit-policy.yaml")
	if err := os.WriteFile(policy, fmt.Appendf(nil, auditPolicy, operatorUser), 0o600); err != nil {
		return nil, err
	}
	p.environment = &envtest.Environment{
		CRDDirectoryPaths: []string{"config/crd"}, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: patience, ControlPlaneStopTimeout: patience,
	}
	server := p.environment.ControlPlane.GetAPIServer()
	server.Path = programs["kube-apiserver"]
	server.Configure().
		Set("audit-policy-file", policy).
		Set("audit-log-path", p.audit.path).
		Set("service-cluster-ip-range", "10.0.0.0/16"). // a Service for each brand
		Disable("disable-admission-plugins")
	p.environment.ControlPlane.Etcd = &envtest.Etcd{Path: programs["etcd"]}
	p.environment.ControlPlane.KubectlPath = programs["kubectl"]
	if p.config, err = p.environment.Start(); err != nil {
		return p, fmt.Errorf("start the API server: %w", err)
	}
	p.config.QPS = -1
	scheme, err := controllers.Scheme()
	if err != nil {
		return p, err
	}
	if p.api, err = client.New(p.config, client.Options{Scheme: scheme}); err != nil {
		return p, fmt.Errorf("set up a client: %w", err)
	}
	return p, errors.Join(p.startControllers(programs["kube-controller-manager"]), p.install(ctx))
}

func findPrograms(ctx context.Context, say progress.Printer) (map[string]string, error) {
	cache, err := binaries.DefaultDirectory()
	if err != nil {
		return nil, err
	}
	source, err := binaries.SourceIn(".")
	if err != nil {
		return nil, err
	}
	c := binaries.Cache{Source: source, Directory: filepath.Join(cache, "programs"), Progress: say}
	return c.Ensure(ctx, "kube-apiserver", "etcd", "kubectl", "kube-controller-manager")
}

// startControllers starts all controllers of Kubernetes. Out of the box they send 20 requests a second each; a
// fleet that comes up at once would measure that limit and not the operator, so it is lifted.
func (p *plane) startControllers(binary string) (err error) {
	kubeconfig := filepath.Join(p.directory, "controllers.kubeconfig")
	if err := os.WriteFile(kubeconfig, p.environment.KubeConfig, 0o600); err != nil {
		return err
	}
	p.controllers, err = launch("kube-controller-manager", binary, []string{
		"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20",
	}, nil, filepath.Join(p.directory, "controllers.log"))
	return err
}

// install makes the operator's namespace, account and roles, as generated.
func (p *plane) install(ctx context.Context) error {
	if err := p.namespace(ctx, operatorNamespace); err != nil {
		return err
	}
	for _, path := range []string{"config/rbac/role.yaml", "config/rbac/bindings.yaml"} {
		if err := p.createAll(ctx, path); err != nil {
			return fmt.Errorf("install %s: %w", path, err)
		}
	}
	return nil
}

// createAll creates the objects of a file.
func (p *plane) createAll(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	decoder := utilyaml.NewYAMLOrJSONDecoder(f, 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue // between two separators
		}
		if err := p.api.Create(ctx, object); err != nil {
			return err
		}
	}
}

// namespace makes a namespace and waits for its default service account, which shows that the
// controllers work.
func (p *plane) namespace(ctx context.Context, name string) error {
	if err := p.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return poll(ctx, patience, "the controllers of Kubernetes", func() bool {
		return p.api.Get(ctx, client.ObjectKey{Namespace: name, Name: "default"}, &corev1.ServiceAccount{}) == nil
	})
}

// token makes a token of the operator's account, as a Pod of it gets one.
func (p *plane) token(ctx context.Context) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: operatorName}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(24 * 60 * 60))}}
	if err := p.api.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("make a token of the operator's account: %w", err)
	}
	return request.Status.Token, nil
}

// serverCPU is the CPU time of the API server so far.
func (p *plane) serverCPU(ctx context.Context) (time.Duration, error) {
	client, err := rest.HTTPClientFor(p.config)
	if err != nil {
		return 0, err
	}
	m, err := scrape(ctx, client, p.config.Host+"metrics")
	if err != nil {
		return 0, err
	}
	return time.Duration(m.sum("process_cpu_seconds_total") * float64(time.Second)), nil
}

func (p *plane) stop() error {
	var errs []error
	if p.controllers != nil {
		p.controllers.kill() // it has nothing to put in order
	}
	if p.environment != nil {
		errs = append(errs, p.environment.Stop())
	}
	return errors.Join(errs...)
}

// patience is for what hangs: a machine may be slow.
const patience = 5 * time.Minute

// poll asks again and again until the answer is true.
func poll(ctx context.Context, most time.Duration, what string, check func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("waited %s in vain for %s", most, what))
	defer cancel()
	for !check() {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// pause waits, unless the context ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
