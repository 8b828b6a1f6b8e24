// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// namespaceFile holds a Pod's own namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// options are the flags as they were given.
type options struct {
	connectorImage        string
	connectorPullPolicy   string
	connectorPullSecrets  []string
	connectorClasses      bool
	rollout               rolloutOptions
	namespace             string
	watchNamespaces       []string
	watchLabelSelector    string
	monitoringNamespaces  map[string]string
	clientNamespaces      map[string]string
	leaderElect           bool
	lease                 leaseOptions
	metricsAddress        string
	probeAddress          string
	otlpEndpoint          string
	concurrency           int
	reconciliationTimeout time.Duration
	logLevel              string
}

// rolloutOptions are how brands without a ConnectorClass take up a change of the operator.
type rolloutOptions struct {
	paused           bool
	maxConcurrent    int
	canaries         string
	soakTime         time.Duration
	progressDeadline time.Duration
}

func (o *options) addFlags(f *pflag.FlagSet, getenv func(string) string) {
	f.StringVar(&o.connectorImage, "connector-image", "", "image of the connector, by digest where it matters (required)")
	f.StringVar(&o.connectorPullPolicy, "connector-image-pull-policy", "", "Always, IfNotPresent or Never; the cluster's default when empty")
	f.StringSliceVar(&o.connectorPullSecrets, "connector-image-pull-secrets", nil, "names of Secrets, in the namespace of each brand, to pull the connector's image with; a brand's own and its ConnectorClass's come before them")
	f.BoolVar(&o.connectorClasses, "connector-classes", true, "read ConnectorClasses, which needs a ClusterRole; without them a brand that names one is refused")
	f.BoolVar(&o.rollout.paused, "rollout-paused", false, "let no brand without a ConnectorClass restart because the operator or its flags changed, canaries included")
	f.IntVar(&o.rollout.maxConcurrent, "rollout-max-concurrent", 5, "brands without a ConnectorClass that may restart at a time because the operator or its flags changed")
	f.StringVar(&o.rollout.canaries, "rollout-canary-selector", "", "label selector of the brands without a ConnectorClass that take up such a change first; none when empty")
	f.DurationVar(&o.rollout.soakTime, "rollout-canary-soak-time", time.Minute, "how long those must have been available before the others follow")
	f.DurationVar(&o.rollout.progressDeadline, "rollout-progress-deadline", 5*time.Minute, "how long a brand without a ConnectorClass may take to become available before its roll-out has failed")
	f.StringVar(&o.namespace, "namespace", getenv("POD_NAMESPACE"), "namespace of the operator's own lease and Secret; in a cluster its own by default")
	f.StringSliceVar(&o.watchNamespaces, "watch-namespaces", nil, "namespaces whose BrandConnectors are run; all when empty")
	f.StringVar(&o.watchLabelSelector, "watch-label-selector", "", "label selector of the BrandConnectors that are run, to share a fleet among several operators; all when empty")
	f.StringToStringVar(&o.monitoringNamespaces, "monitoring-namespace-labels", nil, "labels of the namespaces that may read the connectors' metrics; all when empty")
	f.StringToStringVar(&o.clientNamespaces, "client-namespace-labels", nil, "labels of the namespaces that may call the connectors, such as the gateway's; everybody when empty")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "let only one of several replicas write")
	f.DurationVar(&o.lease.duration, "leader-election-lease-duration", 12*time.Second, "how long another replica waits for a leader that says nothing any more")
	f.DurationVar(&o.lease.renewDeadline, "leader-election-renew-deadline", 8*time.Second, "how long a leader tries to say that it is there before it gives up")
	f.DurationVar(&o.lease.retryPeriod, "leader-election-retry-period", time.Second, "how often the leader says that it is there, and the others look")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 turns it off")
	f.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	f.StringVar(&o.otlpEndpoint, "otlp-endpoint", "", "base URL of an OTLP/HTTP receiver for the operator's traces; none when empty")
	f.IntVar(&o.concurrency, "max-concurrent-reconciles", 10, "BrandConnectors reconciled at once")
	f.DurationVar(&o.reconciliationTimeout, "reconciliation-timeout", time.Minute, "most time for one reconcile")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
}

// settings are the options, checked and turned into what is set up.
type settings struct {
	options
	logLevel     slog.Level
	namespace    string
	selector     labels.Selector
	scheme       *runtime.Scheme
	installation render.Installation
	controller   controllers.ControllerOptions
	gatewayAPI   bool
	rollout      rollout.Policy
}

// complete checks the options. Its errors name the flag and the remedy.
func (o *options) complete() (*settings, error) {
	s := &settings{options: *o, namespace: o.namespace}
	var errs []error
	if o.connectorImage == "" {
		errs = append(errs, errors.New("--connector-image is missing: give the image of the connector"))
	} else if wrong := v1alpha1.ImageFault(o.connectorImage); wrong != "" {
		errs = append(errs, fmt.Errorf("--connector-image is %q: it %s", o.connectorImage, wrong))
	}
	pull := corev1.PullPolicy(o.connectorPullPolicy)
	if !slices.Contains([]corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}, pull) {
		errs = append(errs, fmt.Errorf("--connector-image-pull-policy is %q: give Always, IfNotPresent or Never", pull))
	}
	for _, name := range o.connectorPullSecrets {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--connector-image-pull-secrets has %q, which is no name of a Secret: give names, separated by commas", name))
		}
	}
	for _, name := range o.watchNamespaces {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--watch-namespaces has %q, which is no name of a namespace: give names of lower-case letters, digits and hyphens, separated by commas", name))
		}
	}
	errs = append(errs, checkReceiver(o.otlpEndpoint))
	if err := s.logLevel.UnmarshalText([]byte(o.logLevel)); err != nil {
		errs = append(errs, fmt.Errorf("--log-level is %q: give debug, info, warn or error", o.logLevel))
	}
	selector, err := labels.Parse(o.watchLabelSelector)
	if err != nil {
		errs = append(errs, noSelector("--watch-label-selector", err))
	}
	s.selector = selector
	policy, err := o.rollout.policy()
	errs = append(errs, err)
	s.rollout = policy
	errs = append(errs, o.lease.check())
	if o.concurrency < 1 {
		errs = append(errs, fmt.Errorf("--max-concurrent-reconciles is %d: give at least 1", o.concurrency))
	}
	if s.namespace == "" {
		raw, err := os.ReadFile(namespaceFile)
		if s.namespace = strings.TrimSpace(string(raw)); err != nil || s.namespace == "" {
			errs = append(errs, errors.New("--namespace is missing: outside of a cluster, give the operator's own namespace"))
		}
	}
	scheme, err := controllers.Scheme()
	errs = append(errs, err)
	s.scheme = scheme
	s.installation = render.Installation{
		Image: o.connectorImage, ImagePullPolicy: pull, ImagePullSecrets: o.connectorPullSecrets,
		MonitoringNamespaces: o.monitoringNamespaces, ClientNamespaces: o.clientNamespaces,
		ProgressDeadlineSeconds: int32(o.rollout.progressDeadline / time.Second),
	}
	s.controller = controllers.ControllerOptions{MaxConcurrentReconciles: o.concurrency, ReconciliationTimeout: o.reconciliationTimeout,
		PartOfFleet: o.watchLabelSelector != "" || len(o.watchNamespaces) > 0}
	return s, errors.Join(errs...)
}

// noSelector adds the remedy to what the parser of label selectors says.
func noSelector(flag string, err error) error {
	return fmt.Errorf("%s is no label selector: %w: give one such as shard=a", flag, err)
}

// checkReceiver judges the URL of the traces' receiver as what exports them does, which does
// not know the flag.
func checkReceiver(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("--otlp-endpoint is not the URL of an OTLP/HTTP receiver: give one such as http://collector:4318") // it may hold a password
	}
	return nil
}

func (o *rolloutOptions) policy() (rollout.Policy, error) {
	p := rollout.Policy{MaxConcurrent: o.maxConcurrent, Paused: o.paused, SoakTime: o.soakTime}
	var errs []error
	if o.maxConcurrent < 1 {
		errs = append(errs, fmt.Errorf("--rollout-max-concurrent is %d: give at least 1", o.maxConcurrent))
	}
	if o.soakTime < 0 {
		errs = append(errs, fmt.Errorf("--rollout-canary-soak-time is %s: give 0s or more", o.soakTime))
	}
	if o.progressDeadline < 10*time.Second || o.progressDeadline > time.Hour {
		errs = append(errs, fmt.Errorf("--rollout-progress-deadline is %s: give 10s to 1h", o.progressDeadline))
	}
	if o.canaries != "" {
		selector, err := labels.Parse(o.canaries)
		if err != nil {
			errs = append(errs, noSelector("--rollout-canary-selector", err))
		}
		p.Canaries = selector
	}
	return p, errors.Join(errs...)
}

// leaseOptions are the times of the leader election. A replica sees the leader's last word
// up to 2.2 retry periods late (client-go adds up to 120 % to each), waits for the lease's
// duration, and may then be another 2.2 periods from looking again: 16.4 s in all with the
// defaults, and 2.2 s when the leader gives its lease back. client-go's own, 15 s and 2 s,
// would be 23.8 s and 4.4 s.
type leaseOptions struct {
	duration, renewDeadline, retryPeriod time.Duration
}

// check holds what client-go would refuse without naming a flag.
func (l leaseOptions) check() error {
	var errs []error
	if l.retryPeriod <= 0 {
		errs = append(errs, fmt.Errorf("--leader-election-retry-period is %s: give more than 0s", l.retryPeriod))
	}
	if l.renewDeadline < 2*l.retryPeriod {
		errs = append(errs, fmt.Errorf("--leader-election-renew-deadline is %s: give at least twice --leader-election-retry-period, %s", l.renewDeadline, 2*l.retryPeriod))
	}
	if l.duration <= l.renewDeadline || l.duration%time.Second != 0 {
		errs = append(errs, fmt.Errorf("--leader-election-lease-duration is %s: give whole seconds, more than --leader-election-renew-deadline, %s: two leaders could write otherwise", l.duration, l.renewDeadline))
	}
	return errors.Join(errs...)
}

func (s *settings) managerOptions() ctrl.Options {
	return ctrl.Options{
		Scheme:                 s.scheme,
		Cache:                  controllers.CacheOptions(s.watchNamespaces, s.selector, s.gatewayAPI, s.connectorClasses),
		Client:                 controllers.ClientOptions(),
		Metrics:                metricsserver.Options{BindAddress: s.metricsAddress},
		HealthProbeBindAddress: s.probeAddress,
		LeaderElection:         s.leaderElect,
		LeaderElectionID:       s.leaderID(),
		// The next leader need not wait for the lease to run out: run returns, and the
		// process ends, as soon as the manager has stopped.
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &s.lease.duration,
		RenewDeadline:                 &s.lease.renewDeadline,
		RetryPeriod:                   &s.lease.retryPeriod,
		LeaderElectionNamespace:       s.namespace,
	}
}

// leaderID is the name of the lease: operators that run different brands have
// different leaders.
func (s *settings) leaderID() string {
	const name = "hexiao-manager"
	if s.watchLabelSelector == "" && len(s.watchNamespaces) == 0 {
		return name
	}
	namespaces := slices.Sorted(slices.Values(s.watchNamespaces))
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\n%s", s.selector, strings.Join(namespaces, ","))
	return fmt.Sprintf("%s-%016x", name, h.Sum64())
}

func discoverGatewayAPI(config *rest.Config) (bool, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return false, fmt.Errorf("set up a client: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, client)
	if err != nil {
		return false, fmt.Errorf("discover the cluster's APIs: %w", err)
	}
	return controllers.ServesGatewayAPI(mapper)
}

// addProbes lets a replica be ready when its cache is there, leader or not: a
// standby that is ready can take over at once.
func addProbes(mgr ctrl.Manager) error {
	synced := func(req *http.Request) error {
		ctx, cancel := context.WithTimeout(req.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the cache is not filled yet")
		}
		return nil
	}
	return errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("cache", synced))
}
