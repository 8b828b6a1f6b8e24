// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/hexiao-dev/hexiao/controllers"
)

// discoveredCluster is an API server that says which kinds it serves, and nothing else. Its
// requests are counted by their user agent.
func discoveredCluster(t *testing.T) (agents map[string]int) {
	t.Helper()
	scheme, err := controllers.Scheme()
	must(t, err)
	groups, pages := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}, map[string]any{}
	for _, gv := range scheme.PrioritizedVersionsAllGroups() {
		path := "/apis/" + gv.String()
		if gv.Group == "" {
			path = "/api/v1"
		} else {
			version := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
			groups.Groups = append(groups.Groups, metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version})
		}
		list := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
		for kind := range scheme.KnownTypes(gv) {
			plural, _ := meta.UnsafeGuessKindToResource(gv.WithKind(kind))
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: plural.Resource, Kind: kind, Namespaced: true})
		}
		pages[path] = list
	}
	pages["/apis"] = groups
	pages["/api"] = &metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	agents = map[string]int{}
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		agents[req.UserAgent()]++
		mu.Unlock()
		page, ok := pages[req.URL.Path]
		if !ok {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(page)
	}))
	t.Cleanup(server.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test"}
	config.CurrentContext = "test"
	raw, err := clientcmd.Write(*config)
	must(t, err)
	must(t, os.WriteFile(kubeconfig, raw, 0o600))
	t.Setenv("KUBECONFIG", kubeconfig)
	return agents
}

func TestTheOperatorSaysWhoItIsAndIsNotThrottledByItself(t *testing.T) {
	agents := discoveredCluster(t)
	s, err := parse(t, "--metrics-bind-address=0", "--health-probe-bind-address=0", "--leader-elect=false").complete()
	must(t, err)
	mgr, err := newManager(s)
	must(t, err)
	if config := mgr.GetConfig(); config.QPS != -1 || config.UserAgent != "hexiao-manager/dev" {
		t.Errorf("%v requests a second at most and the user agent %q, want no limit (-1) and hexiao-manager/dev", config.QPS, config.UserAgent)
	}
	if agents["hexiao-manager/dev"] == 0 || len(agents) != 1 {
		t.Errorf("the API server saw the user agents %v, want hexiao-manager/dev alone", agents)
	}
}

func TestWhatBoundsAReconcile(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want controllers.ControllerOptions
	}{
		"by default": {nil, controllers.ControllerOptions{MaxConcurrentReconciles: 10, ReconciliationTimeout: time.Minute}},
		"by its flags": {[]string{"--max-concurrent-reconciles=3", "--reconciliation-timeout=7s"},
			controllers.ControllerOptions{MaxConcurrentReconciles: 3, ReconciliationTimeout: 7 * time.Second}},
		"of some namespaces": {[]string{"--watch-namespaces=a"},
			controllers.ControllerOptions{MaxConcurrentReconciles: 10, ReconciliationTimeout: time.Minute, PartOfFleet: true}},
		"of some labels": {[]string{"--watch-label-selector=a"},
			controllers.ControllerOptions{MaxConcurrentReconciles: 10, ReconciliationTimeout: time.Minute, PartOfFleet: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parse(t, tc.args...).complete()
			must(t, err)
			if diff := cmp.Diff(tc.want, s.controller); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheManagerIsSetUpAsTheFlagsSay(t *testing.T) {
	s, err := parse(t, "--leader-election-lease-duration=20s", "--leader-election-renew-deadline=10s", "--leader-election-retry-period=2s").complete()
	must(t, err)
	o := s.managerOptions()
	if !o.LeaderElection || !o.LeaderElectionReleaseOnCancel || o.LeaderElectionNamespace != "hexiao-system" || o.LeaderElectionID != "hexiao-manager" {
		t.Errorf("leader election %t, given back %t, lease %s/%s", o.LeaderElection, o.LeaderElectionReleaseOnCancel, o.LeaderElectionNamespace, o.LeaderElectionID)
	}
	if *o.LeaseDuration != 20*time.Second || *o.RenewDeadline != 10*time.Second || *o.RetryPeriod != 2*time.Second {
		t.Errorf("lease %s, deadline %s, period %s", o.LeaseDuration, o.RenewDeadline, o.RetryPeriod)
	}
	if !o.Cache.ReaderFailOnMissingInformer || !o.Client.Cache.Unstructured {
		t.Error("the manager's cache is not that of package controllers")
	}
}

// probed is a manager whose cache is filled or not, and that keeps its checks.
type probed struct {
	ctrl.Manager
	cache        informertest.FakeInformers
	alive, ready map[string]healthz.Checker
}

func (p *probed) GetCache() cache.Cache { return &p.cache }

func (p *probed) AddHealthzCheck(name string, c healthz.Checker) error {
	p.alive[name] = c
	return nil
}

func (p *probed) AddReadyzCheck(name string, c healthz.Checker) error {
	p.ready[name] = c
	return nil
}

func TestAReplicaIsReadyOnceItsCacheIsFilled(t *testing.T) {
	for _, filled := range []bool{false, true} {
		p := &probed{alive: map[string]healthz.Checker{}, ready: map[string]healthz.Checker{}}
		p.cache.Synced = &filled
		must(t, addProbes(p))
		answer := func(checks map[string]healthz.Checker) int {
			w := httptest.NewRecorder()
			(&healthz.Handler{Checks: checks}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			return w.Code
		}
		if got := answer(p.alive); len(p.alive) == 0 || got != http.StatusOK {
			t.Errorf("with a filled cache %t, it is alive with %d", filled, got)
		}
		if got := answer(p.ready); (got == http.StatusOK) != filled {
			t.Errorf("with a filled cache %t, it is ready with %d", filled, got)
		}
	}
}
