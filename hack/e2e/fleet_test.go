//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fleetMember is a brand of the fleet.
type fleetMember struct{ name, brandID string }

// The fleet: the canary goes first.
var (
	canary = fleetMember{"canary", "20001"}
	others = []fleetMember{{"one", "20002"}, {"two", "20003"}}
	fleet  = append([]fleetMember{canary}, others...)
)

func fleetNames() (names []string) {
	for _, b := range fleet {
		names = append(names, b.name)
	}
	return names
}

// TestAFleetOfOneClass is the story of a platform team that changes what many brands
// have in common.
func TestAFleetOfOneClass(t *testing.T) {
	c := connect(t)
	defer explain(t)
	story := &story{cluster: c}
	tell(t, []part{
		{"brands that have only what is theirs serve on what their class gives", story.bringFleetUp},
		{"a change of the class rolls the canary, then the others one by one", story.rollFleet},
		{"a canary that does not become available halts the rollout, and all serve", story.haltFleet},
		{"when the class is mended, canary and others follow", story.mendFleet},
		{"deleting the fleet leaves nothing behind", story.removeFleet},
		{"helm uninstalls the operator", story.uninstall},
	})
}

const (
	className = "fleet"
	soakTime  = 3 * time.Second
)

func (s *story) bringFleetUp(t *testing.T) {
	clean(t)
	s.release(t, "charts/hexiao")
	makeNamespace(t)
	s.bringVendorsUp(t)
	apply(t, sample(t, "credentials.yaml"))
	kubectl(t, "create", "secret", "generic", "ledger", "--from-literal=dsn="+os.Getenv("HEXIAO_TEST_POSTGRES_DSN"))
	apply(t, classObject)
	for _, b := range fleet {
		apply(t, b.object("tier: "+map[bool]string{true: "canary", false: "all"}[b == canary]))
	}
	ready(t, fleetNames()...)
	for _, b := range fleet {
		s.serves(t, b.name, b.brandID)
		if given := kubectl(t, "get", "bc", b.name, "-o", "jsonpath={.spec.ledger}"); given != "" {
			t.Errorf("the class's ledger was written into the spec of %s: %s", b.name, given)
		}
		if used, want := kubectl(t, "get", "bc", b.name, "-o", "jsonpath={.status.resolved.ledger}"), "postgres:ledger/dsn:brand_"+b.name; used != want {
			t.Errorf("status.resolved.ledger of %s is %q, want %q", b.name, used, want)
		}
	}
	classSays(t, "RolledOut", "True")
}

// classObject is what the brands of the fleet have in common.
var classObject = `
apiVersion: connect.hexiao.dev/v1alpha1
kind: ConnectorClass
metadata: {name: ` + className + `}
spec:
  workload: {replicas: 1}
  ledger:
    postgres: {dsnSecretRef: {name: ledger, key: dsn}, schemaPrefix: brand_}
  telemetry: {otlpEndpoint: "http://hexiao-sandbox"}
  rollout:
    maxConcurrent: 1
    canary: {selector: {matchLabels: {tier: canary}}, soakTime: ` + soakTime.String() + `}
    progressDeadline: 2m
`

// object is the brand's alone: who it is, and where its members' assets are.
func (b fleetMember) object(label string) string {
	return `
apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: ` + b.name + `, labels: {` + label + `}}
spec:
  connectorClassName: ` + className + `
  brandID: "` + b.brandID + `"
  keruyun: {credentialsSecretRef: {name: xiaowang-keruyun}, replyDeadline: 30s}
  providers:
    zhimai: {endpoint: "http://hexiao-sandbox/zhimai/api/v2", credentialsSecretRef: {name: xiaowang-zhimai}}
  routes:
  - {name: gift-card, match: {assetMappingIDs: ["400001"]}, asset: StoredValue, provider: zhimai}
`
}

// changeClass merges a patch into the class's spec.
func changeClass(t *testing.T, spec string) {
	t.Helper()
	kubectl(t, "patch", "connectorclass", className, "--type=merge", "-p", `{"spec":`+spec+`}`)
}

// classSays waits until a condition of the class's newest generation has a status.
func classSays(t *testing.T, condition, status string) (reason string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s of the class is %s", condition, status), func() error {
		var class struct {
			Metadata metadata
			Status   struct {
				Conditions []struct {
					Type, Status, Reason, Message string
					ObservedGeneration            int64
				}
				Brands any
			}
		}
		get(t, &class, "connectorclass", className)
		for _, c := range class.Status.Conditions {
			if c.Type == condition && c.Status == status && c.ObservedGeneration == class.Metadata.Generation {
				reason = c.Reason
				return nil
			}
		}
		return fmt.Errorf("generation %d, status %+v", class.Metadata.Generation, class.Status)
	})
	return reason
}

func (s *story) rollFleet(t *testing.T) {
	s.rollsInOrder(t, `{"workload":{"podAnnotations":{"fleet.example/change":"first"}}}`)
}

func (s *story) mendFleet(t *testing.T) {
	s.rollsInOrder(t, `{"image":null,"workload":{"podAnnotations":{"fleet.example/change":"second"}}}`)
}

// rollsInOrder changes the class and watches every Deployment of the fleet: the canary
// is first, the others follow when it has proven itself, one at a time, and none fails a
// request.
func (s *story) rollsInOrder(t *testing.T, change string) {
	t.Helper()
	loads := []*load{s.startLoad(t, canary.name, canary.brandID), s.startLoad(t, others[0].name, others[0].brandID)}
	stop := followFleet(t)
	changeClass(t, change)
	classSays(t, "RolledOut", "True")
	states := stop()
	for _, l := range loads {
		l.end(t)
	}
	inOrder(t, states, canary.name, len(fleet))
}

// inOrder judges what was seen of a rollout: so many brands took it up, each once, the
// canary first and the others one at a time after its soak time.
func inOrder(t *testing.T, states []fleetState, canary string, brands int) {
	t.Helper()
	var order []string
	rolling := map[string]time.Time{} // since when
	var proven time.Time              // the canary, last
	for _, is := range states {
		switch _, was := rolling[is.name]; {
		case is.rolling() && !was:
			rolling[is.name] = is.changed
			order = append(order, is.name)
			if len(rolling) > 1 {
				t.Errorf("more than one at a time: %v", rolling)
			}
			// Kubernetes writes down in whole seconds since when a Pod is available.
			if is.name != canary && is.changed.Sub(proven) < soakTime-time.Second {
				t.Errorf("%s began %s after the canary was available, want its soak time of %s", is.name, is.changed.Sub(proven), soakTime)
			}
		case !is.rolling() && was:
			delete(rolling, is.name)
			if is.name == canary {
				proven = is.progressed
			}
		}
	}
	t.Logf("they rolled in the order %v", order)
	if len(order) != brands || order[0] != canary {
		t.Errorf("the fleet rolled in the order %v, want each once and the canary first", order)
	}
	if len(rolling) > 0 {
		t.Errorf("it was said to have rolled out while %v were rolling", rolling)
	}
}

func (s *story) haltFleet(t *testing.T) {
	before := serving(t, fleetNames()...)
	bystanders := identities(podsOf(t, others[0].name, others[1].name))
	loads := []*load{s.startLoad(t, canary.name, canary.brandID), s.startLoad(t, others[0].name, others[0].brandID)}
	start := time.Now()
	changeClass(t, `{"image":"hexiao/sandbox:dev"}`) // it runs, and is no connector
	eventually(t, "the class says that the rollout is halted", func() error {
		if reason := classSays(t, "RolledOut", "False"); reason != "RolloutHalted" {
			return fmt.Errorf("RolledOut is False: %s", reason)
		}
		return nil
	})
	t.Logf("halted after %s: %s", time.Since(start).Round(time.Second),
		kubectl(t, "get", "connectorclass", className, "-o", `jsonpath={.status.conditions[?(@.type=="RolledOut")].message}`))
	says(t, canary.name, "Ready", "False", "RolloutFailed", "CrashLoopBackOff")
	for _, b := range others {
		says(t, b.name, "UpToDate", "False", "RolloutPending")
		says(t, b.name, "Ready", "True", "Ready")
	}
	for _, l := range loads {
		l.end(t)
	}
	if diff := cmp.Diff(bystanders, identities(podsOf(t, others[0].name, others[1].name))); diff != "" {
		t.Errorf("the other brands' Pods (-before +after):\n%s", diff)
	}
	stillServe(t, before, fleetNames()...)
	eventually(t, "events on the class and on the canary warn", func() error {
		for _, e := range []struct{ namespace, kind, name, reason string }{
			{"default", "ConnectorClass", className, "RolloutHalted"}, {namespace, "BrandConnector", canary.name, "RolloutFailed"},
		} {
			fields := "--field-selector=type=Warning,reason=" + e.reason + ",involvedObject.kind=" + e.kind + ",involvedObject.name=" + e.name
			if kubectl(t, "get", "events", "-n", e.namespace, fields, "-o", "name") == "" {
				return fmt.Errorf("no event on the %s", e.kind)
			}
		}
		return nil
	})
	metrics := kubectl(t, "get", "--raw", "/api/v1/namespaces/"+systemNamespace+"/pods/"+leads(t).pod+":8080/proxy/metrics")
	if want := `hexiao_operator_rollout_halted{class="` + className + `"} 1`; !strings.Contains(metrics, want+"\n") {
		t.Errorf("the leader's metrics have no line %s", want)
	}
}

func (s *story) removeFleet(t *testing.T) {
	kubectl(t, "delete", "bc", "--all", "--timeout=5m")
	kubectl(t, "delete", "connectorclass", className, "--timeout=5m")
	gone(t)
}

// fleetState is what one Deployment of the fleet was at a moment.
type fleetState struct {
	name string
	// changed is when the operator changed it last, progressed when Kubernetes last saw its
	// Pods come further, by the cluster's own clock: the watch may lag.
	changed, progressed                                             time.Time
	generation, observed, want, replicas, updated, availableOfThese int
}

// rolling says that not all Pods are of the newest template, available, and alone.
func (f fleetState) rolling() bool {
	return f.observed < f.generation || f.replicas != f.want || f.updated != f.want || f.availableOfThese != f.want
}

// followFleet watches the Deployments of the fleet until stop.
func followFleet(t *testing.T) (stop func() []fleetState) {
	t.Helper()
	lines := watch(t, `{.metadata.name}|{.metadata.managedFields[?(@.manager=="hexiao")].time}|{.status.conditions[?(@.type=="Progressing")].lastUpdateTime}|`+
		`{.metadata.generation}|{.status.observedGeneration}|{.spec.replicas}|{.status.replicas}|{.status.updatedReplicas}|{.status.availableReplicas}`,
		"deployments", "-l", "app.kubernetes.io/name=hexiao-connector")
	return func() (states []fleetState) {
		for _, l := range lines() {
			f := strings.Split(l, "|")
			states = append(states, fleetState{f[0], latest(t, f[1]), latest(t, f[2]),
				number(t, f[3]), number(t, f[4]), number(t, f[5]), number(t, f[6]), number(t, f[7]), number(t, f[8])})
		}
		return states
	}
}

// latest reads times with blanks between them, of which there may be none.
func latest(t *testing.T, text string) (last time.Time) {
	t.Helper()
	for field := range strings.FieldsSeq(text) {
		at, err := time.Parse(time.RFC3339, field)
		if err != nil {
			t.Fatal(err)
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}
