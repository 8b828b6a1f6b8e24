// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func parse(t *testing.T, args ...string) *options {
	t.Helper()
	o := &options{}
	f := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.addFlags(f, func(string) string { return "" })
	if err := f.Parse(append([]string{"--namespace=hexiao-system", "--connector-image=c"}, args...)); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestABadFlagIsNamedWithItsRemedy(t *testing.T) {
	tests := map[string]struct{ arg, want string }{
		"no image":               {"--connector-image=", "--connector-image is missing"},
		"an image":               {"--connector-image=x y", `--connector-image is "x y": it must be the name of an image: registry.example/hexiao/connector with a tag`},
		"an image with a path":   {"--connector-image=https://registry.example/hexiao", `--connector-image is "https://registry.example/hexiao"`},
		"a namespace":            {"--watch-namespaces=brands,A_b", `--watch-namespaces has "A_b", which is no name of a namespace: give names`},
		"an empty namespace":     {"--watch-namespaces=brands,,more", `--watch-namespaces has "", which is no name of a namespace`},
		"a pull policy":          {"--connector-image-pull-policy=Sometimes", "give Always, IfNotPresent or Never"},
		"a level":                {"--log-level=loud", "give debug, info, warn or error"},
		"a selector":             {"--watch-label-selector=a in b", "--watch-label-selector is no label selector: unable to parse requirement"},
		"a selector's remedy":    {"--watch-label-selector=a in b", ": give one such as shard=a"},
		"no reconcile":           {"--max-concurrent-reconciles=0", "give at least 1"},
		"a receiver of traces":   {"--otlp-endpoint=http://a b", "--otlp-endpoint is not the URL of an OTLP/HTTP receiver: give one such as"},
		"a receiver by grpc":     {"--otlp-endpoint=grpc://collector:4317", "--otlp-endpoint"},
		"a pull secret":          {"--connector-image-pull-secrets=registry,Two words", `--connector-image-pull-secrets has "Two words"`},
		"no place in a roll-out": {"--rollout-max-concurrent=0", "--rollout-max-concurrent is 0: give at least 1"},
		"canaries":               {"--rollout-canary-selector=a in b", "--rollout-canary-selector is no label selector: unable to parse requirement"},
		"the canaries' remedy":   {"--rollout-canary-selector=a in b", ": give one such as shard=a"},
		"a soak time":            {"--rollout-canary-soak-time=-1s", "give 0s or more"},
		"a deadline":             {"--rollout-progress-deadline=1s", "give 10s to 1h"},
		"no namespace known":     {"--namespace=", "--namespace is missing"},

		"a lease that is shorter than a leader tries":  {"--leader-election-lease-duration=8s", "--leader-election-lease-duration is 8s: give whole seconds, more than"},
		"a lease that would be rounded":                {"--leader-election-lease-duration=9500ms", "--leader-election-lease-duration is 9.5s: give whole seconds"},
		"a leader that gives up before it tries again": {"--leader-election-retry-period=5s", "--leader-election-renew-deadline is 8s: give at least twice"},
		"replicas that never look":                     {"--leader-election-retry-period=0s", "--leader-election-retry-period is 0s: give more than 0s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, tc.arg).complete()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestBrandsWithoutAClassAreHeldByAFlag(t *testing.T) {
	for _, want := range []bool{false, true} {
		s, err := parse(t, fmt.Sprintf("--rollout-paused=%t", want)).complete()
		if err != nil {
			t.Fatal(err)
		}
		if s.rollout.Paused != want || s.rollout.MaxConcurrent != 5 {
			t.Errorf("--rollout-paused=%t: policy %+v", want, s.rollout)
		}
	}
}

func TestEachShardHasALeaderOfItsOwn(t *testing.T) {
	id := func(args ...string) string {
		s, err := parse(t, args...).complete()
		if err != nil {
			t.Fatal(err)
		}
		return s.leaderID()
	}
	if got := id(); got != "hexiao-manager" {
		t.Errorf("the whole fleet's lease is %q", got)
	}
	seen := map[string]bool{}
	for _, got := range []string{id(), id("--watch-label-selector=shard=a"), id("--watch-label-selector=shard=b"), id("--watch-namespaces=a,b"), id("--watch-namespaces=a")} {
		if seen[got] {
			t.Errorf("two shards share the lease %q", got)
		}
		seen[got] = true
	}
	if id("--watch-namespaces=b,a") != id("--watch-namespaces=a,b") {
		t.Error("the order of namespaces makes another lease")
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	usage := command(nil).UsageString()
	for _, want := range []string{"--connector-image", "--connector-image-pull-secrets", "--watch-namespaces", "--watch-label-selector", "--leader-elect", "--kubeconfig",
		"--metrics-bind-address", "--health-probe-bind-address", "--otlp-endpoint", "--max-concurrent-reconciles", "--log-level",
		"--connector-classes", "--rollout-paused", "--rollout-max-concurrent", "--rollout-canary-selector", "--rollout-canary-soak-time", "--rollout-progress-deadline"} {
		if !strings.Contains(usage, want) {
			t.Errorf("%s is not in the help", want)
		}
	}
}
