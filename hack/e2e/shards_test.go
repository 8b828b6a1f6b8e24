//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shards are the releases that share the fleet, by the value of the brands' label.
var shards = map[string]string{"a": "hexiao-a", "b": "hexiao-b"}

// The brands of the shards, and one that is nobody's.
var (
	ofA     = fleetMember{"of-a", "30001"}
	ofB     = fleetMember{"of-b", "30002"}
	nobodys = fleetMember{"nobodys", "30003"}
)

// restTime is how long nobody may write, to count as at rest.
const restTime = 5 * time.Second

// TestAFleetOfTwoShards is the story of two releases that share a fleet.
func TestAFleetOfTwoShards(t *testing.T) {
	c := connect(t)
	defer explain(t)
	story := &story{cluster: c}
	tell(t, []part{
		{"two releases, each with a selector and a lease, run their own brands", story.bringShardsUp},
		{"a brand of another label is nobody's, and can be found", story.findNobodys},
		{"a brand is handed over and back without a restart, a write or a failed request", story.handOver},
		{"deleting the fleet leaves nothing behind", story.removeFleet},
		{"helm uninstalls both operators", func(t *testing.T) { story.uninstallReleases(t, shards["a"], shards["b"]) }},
	})
}

func (s *story) bringShardsUp(t *testing.T) {
	clean(t)
	kubectl(t, "delete", "leases", "--all", "-n", systemNamespace) // a story that failed may have left a leader's
	s.releaseAs(t, shards["a"], "charts/hexiao", "--set=watchLabelSelector=shard=a")
	s.releaseAs(t, shards["b"], "charts/hexiao", "--set=watchLabelSelector=shard=b", "--set=crds.enabled=false,rbac.aggregate=false")
	kubectl(t, "delete", "connectorclass", "--all", "--timeout=5m") // and a class
	makeNamespace(t)
	s.bringVendorsUp(t)
	apply(t, sample(t, "credentials.yaml"))
	kubectl(t, "create", "secret", "generic", "ledger", "--from-literal=dsn="+os.Getenv("HEXIAO_TEST_POSTGRES_DSN"))
	apply(t, classObject)
	began := time.Now()
	apply(t, strings.Join([]string{nobodys.object("shard: c"), ofA.object("shard: a"), ofB.object("shard: b")}, "---"))
	ready(t, ofA.name, ofB.name)
	for shard, brand := range map[string]fleetMember{"a": ofA, "b": ofB} {
		hasBrands(t, shard, brand.name)
		for _, write := range wroteFor(t, shard, began) {
			if write.ObjectRef.Name != brand.name {
				t.Errorf("shard %s wrote for another brand: %s", shard, write)
			}
		}
	}
	if written := kubectl(t, "get", "connectorclass", className, "-o", "jsonpath={.status.conditions}"); written != "" {
		t.Errorf("an operator that does not see the whole class wrote its status: %s", written)
	}
	holders := map[string]string{}
	for _, name := range strings.Fields(kubectl(t, "get", "leases", "-n", systemNamespace, "-o", "jsonpath={.items[*].metadata.name}")) {
		if l, err := lease(t, name); err == nil {
			holders[name] = regexp.MustCompile(`^hexiao-.`).FindString(l.pod)
		}
	}
	if len(holders) != 2 || holders[wholeFleet] != "" || !slices.Equal(slices.Sorted(maps.Values(holders)), slices.Sorted(maps.Values(shards))) {
		t.Errorf("leases and whose Pods hold them: %v", holders)
	}
}

// metricsOf is what the Pods of a shard's operator say, one after the other.
func metricsOf(t *testing.T, shard string) (all []string) {
	t.Helper()
	pods := kubectl(t, "get", "pods", "-n", systemNamespace, "-l", "app.kubernetes.io/instance="+shards[shard], "-o", "jsonpath={.items[*].metadata.name}")
	for _, pod := range strings.Fields(pods) {
		all = append(all, kubectl(t, "get", "--raw", "/api/v1/namespaces/"+systemNamespace+"/pods/"+pod+":8080/proxy/metrics"))
	}
	return all
}

var infoOf = regexp.MustCompile(`(?m)^hexiao_brandconnector_info{.*\bname="([^"]+)"`)

// hasBrands waits until a shard's replicas count these brands and no other.
func hasBrands(t *testing.T, shard string, brands ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("shard %s has %v", shard, brands), func() error {
		replicas := metricsOf(t, shard)
		for _, metrics := range replicas {
			var has []string
			for _, found := range infoOf.FindAllStringSubmatch(metrics, -1) {
				has = append(has, found[1])
			}
			slices.Sort(has)
			if !slices.Equal(has, brands) {
				return fmt.Errorf("a replica has %v", has)
			}
		}
		if len(replicas) == 0 {
			return errors.New("no replica")
		}
		return nil
	})
}

// wroteFor is what a shard's operator wrote for brands since a moment, by the API
// server's audit log; nothing where there is no such log.
func wroteFor(t *testing.T, shard string, since time.Time) []auditEvent {
	t.Helper()
	if os.Getenv(auditLog) == "" {
		return nil
	}
	return audited(t, shards[shard]+"-manager", since)
}

func (s *story) findNobodys(t *testing.T) {
	if found := kubectl(t, "get", "bc", "-l", "shard notin (a,b)", "-o", "jsonpath={.items[*].metadata.name}"); found != nobodys.name {
		t.Errorf("brands of no shard: %q", found)
	}
	if seen := kubectl(t, "get", "bc", nobodys.name, "-o", "jsonpath={.status.observedGeneration}"); seen != "-1" {
		t.Errorf("it has observedGeneration %q", seen)
	}
	if made := kubectl(t, "get", "deployments,services,configmaps", "-l", "app.kubernetes.io/instance="+nobodys.name, "-o", "name"); made != "" {
		t.Errorf("made for it: %s", made)
	}
	kubectl(t, "label", "bc", nobodys.name, "shard=b", "--overwrite")
	ready(t, nobodys.name)
	hasBrands(t, "b", nobodys.name, ofB.name)
}

// handOver gives a brand to the other shard and back, while a till redeems.
func (s *story) handOver(t *testing.T) {
	settled(t, ofA.name, ofB.name, nobodys.name)
	pods := identities(podsOf(t, ofA.name))
	load := s.startLoad(t, ofA.name, ofA.brandID)
	for _, hand := range []struct {
		from, to   string
		left, have []string
	}{
		{"a", "b", nil, []string{nobodys.name, ofA.name, ofB.name}},
		{"b", "a", []string{nobodys.name, ofB.name}, []string{ofA.name}},
	} {
		before, start := versionsOf(t), time.Now()
		kubectl(t, "label", "bc", ofA.name, "shard="+hand.to, "--overwrite")
		hasBrands(t, hand.from, hand.left...)
		hasBrands(t, hand.to, hand.have...)
		// The new shard has looked at it, which it notes in the status alone.
		reconciled(t, ofA.name)
		now := versionsOf(t)
		time.Sleep(restTime)
		if diff := cmp.Diff(now, versionsOf(t)); diff != "" {
			t.Errorf("from %s to %s: written at rest (-before +after):\n%s", hand.from, hand.to, diff)
		}
		brand := "BrandConnector " + ofA.name
		before[brand], now[brand] = "", ""
		if diff := cmp.Diff(before, now); diff != "" {
			t.Errorf("from %s to %s: objects that were written (-before +after):\n%s", hand.from, hand.to, diff)
		}
		if wrote := wroteFor(t, hand.from, start); len(wrote) > 0 {
			t.Errorf("shard %s wrote after it had given the brand away: %v", hand.from, wrote)
		}
		if wrote := wroteFor(t, hand.to, start); os.Getenv(auditLog) != "" && (len(wrote) != 1 || wrote[0].ObjectRef.Name != ofA.name) {
			t.Errorf("shard %s wrote %v, want once for %s, that it was asked to look at it", hand.to, wrote, ofA.name)
		}
	}
	load.end(t)
	if diff := cmp.Diff(pods, identities(podsOf(t, ofA.name))); diff != "" {
		t.Errorf("its Pods (-before +after):\n%s", diff)
	}
}

// versionsOf are the resourceVersions of all brands and of their objects.
func versionsOf(t *testing.T) map[string]string {
	t.Helper()
	const line = `jsonpath={range .items[*]}{.kind} {.metadata.name}={.metadata.resourceVersion}{"\n"}{end}`
	versions := map[string]string{}
	for _, out := range []string{
		kubectl(t, "get", "bc", "-o", line),
		kubectl(t, "get", "deployments,services,configmaps,serviceaccounts,networkpolicies", "-l", "app.kubernetes.io/managed-by=hexiao", "-o", line),
	} {
		for l := range strings.SplitSeq(out, "\n") {
			name, version, _ := strings.Cut(l, "=")
			versions[name] = version
		}
	}
	if len(versions) < 3+5*3 {
		t.Fatalf("too few objects: %v", versions)
	}
	return versions
}
