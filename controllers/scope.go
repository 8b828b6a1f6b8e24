// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// scope is what the phases of one reconcile hand to each other.
type scope struct {
	// brand is the object; its status is changed as the phases go.
	brand *v1alpha1.BrandConnector
	// before is the object as it was read. It is not changed.
	before *v1alpha1.BrandConnector
	// key of the object.
	key client.ObjectKey

	// resolved is the brand with its class under it. It is set by classify, and nil when
	// the class is not there.
	resolved *v1alpha1.BrandConnector
	// platform is the class and what comes with it. It is set by classify, and nil when
	// that is not there or not valid.
	platform *platform
	// aside are the notes of the operator that has the brand, when this one stands back from
	// it. It is set by contest.
	aside *render.Notes
	// twin is another BrandConnector of the brand, in words; empty when there is none. It is
	// set by findTwin.
	twin string
	// values that the brand refers to. It is set by resolve when all are there.
	values []render.Value
	// known are the values that are there, to be kept out of what is said. It is set by
	// resolve, and nil when nobody has looked.
	known []render.Value
	// written is when the newest of the objects with the values was written. It is set by
	// resolve, and zero when nobody knows.
	written time.Time
	// secrets tells when each Secret with a value was given its data, by name. It is set by
	// resolve.
	secrets map[string]time.Time
	// rotated is true when other values than before are among what changes the pod
	// template. It is set by pace.
	rotated bool
	// output is what should be. It is set by render, and nil when the brand cannot
	// be rendered now: then nothing is applied and nothing is pruned.
	output *render.Output
	// hold keeps the brand from taking up what was rendered; nil when it may. It is set
	// by pace.
	hold *hold
	// noted is the platform's revision in the notes that apply writes on the Deployment.
	noted string
	// applied is true when apply came through with every object that it was to apply.
	applied bool
	// appliedGeneration is the Deployment's generation after apply; 0 when unknown.
	appliedGeneration int64
	// templateChanged is true when apply changes the pod template of a Deployment
	// that was already there.
	templateChanged bool

	// deployment is as the cache has it, or nil. It and exposure are set by observe.
	deployment *appsv1.Deployment
	exposure   exposure
	// diagnosis is why the Pods are not there yet, and when to look again. It is set
	// by diagnose.
	diagnosis diagnosis

	// faults are what only a change from outside can mend. Any phase adds to them;
	// the first that stalls is what the status speaks of.
	faults []fault
}

// fault is a problem with a reason for a condition. Its message names the object or
// the field at fault and the remedy, and holds no generated names and no times.
type fault struct {
	reason, message string
	// stalled is true when nothing but a change to the object, or to something
	// that it refers to, can help; otherwise it is tried again.
	stalled bool
	// unwatched is true when no watch tells that it is mended, so that it has to be looked
	// at again.
	unwatched bool
	// condition, when set, is another condition than Ready that turns False.
	condition string
	// source, object and key are what is at fault when a reference is: no key when
	// the whole object is missing.
	source      render.Source
	object, key string
}

// spec is the brand's, with its class under it where that is known.
func (s *scope) spec() *v1alpha1.BrandConnectorSpec { return &s.whole().Spec }

func (s *scope) whole() *v1alpha1.BrandConnector {
	if s.resolved != nil {
		return s.resolved
	}
	return s.brand
}

func (s *scope) fault(f fault) { s.faults = append(s.faults, f) }

// has says whether a fault has a reason.
func (s *scope) has(reason string) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool { return f.reason == reason })
}

// faultOf is the first fault that concerns a condition, with the messages of all of
// them: who has three Secrets to make wants to hear of three.
func (s *scope) faultOf(condition string) (first fault, ok bool) {
	for _, f := range s.faults {
		switch {
		case f.condition != condition:
		case !ok:
			first, ok = f, true
		default:
			first.message += "; " + f.message
		}
	}
	return first, ok
}
