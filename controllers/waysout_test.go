// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// waysOut are the ports to which a brand's Pods may connect anywhere.
func (w *world) waysOut(name string) (ports []int) {
	w.t.Helper()
	p := &networkingv1.NetworkPolicy{}
	w.mustGet(name, p)
	for _, rule := range p.Spec.Egress {
		for _, port := range rule.Ports {
			if len(rule.To) == 0 && !slices.Contains(ports, port.Port.IntValue()) {
				ports = append(ports, port.Port.IntValue())
			}
		}
	}
	slices.Sort(ports)
	return ports
}

func (w *world) pointLedgerTo(port string) {
	w.t.Helper()
	old := w.revision("xiaowang")
	w.secret("ledger", map[string]string{"dsn": "postgres://u:p@db.example.com:" + port + "/l"})
	w.eventually(func() string {
		if w.revision("xiaowang") == old {
			return "the new DSN has not arrived"
		}
		return ""
	})
}

// A DSN that is wrong must not take down the Pods that serve with the one before.
func TestPodsThatServeKeepTheirWaysOutUntilNewerOnesTakeTheirPlace(t *testing.T) {
	w := newWorld(t)
	w.operator("ways")
	w.secret("ledger", map[string]string{"dsn": "postgres://u:p@db.example.com:5432/l"})
	w.up(w.brand("xiaowang", w.ofShard("ways")))
	ways := func(want ...int) {
		t.Helper()
		w.eventually(func() string { return same(fmt.Sprint(want), fmt.Sprint(w.waysOut("xiaowang"))) })
	}
	ways(53, 80, 443, 5432)
	w.pointLedgerTo("6432")
	ways(53, 80, 443, 5432, 6432)
	w.pointLedgerTo("7432") // that was wrong; nobody knows which Pods have started
	ways(53, 80, 443, 5432, 6432, 7432)
	w.settled("xiaowang")
	w.rests("xiaowang")

	w.rollOutNewest("xiaowang")
	ways(53, 80, 443, 7432)
	w.rests("xiaowang")
}

func TestAWayOutThatSomebodyElseMadeIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.operator("ways")
	w.secret("ledger", map[string]string{"dsn": "postgres://u:p@db.example.com:5432/l"})
	w.up(w.brand("xiaowang", w.ofShard("ways")))
	w.pointLedgerTo("6432")
	w.settled("xiaowang")
	p := &networkingv1.NetworkPolicy{}
	w.mustGet("xiaowang", p)
	before := p.DeepCopy()
	p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt32(25))}}})
	must(t, api.Patch(t.Context(), p, client.MergeFrom(before), client.FieldOwner("somebody")))
	w.eventually(func() string {
		if slices.Contains(w.waysOut("xiaowang"), 25) {
			return "the way to port 25 is open"
		}
		return ""
	})
}
