// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// The applier's memory ends with its process. So that the next one, or the operator that
// a brand is handed to, need not apply every object once more to learn how it stands, the
// status lists the objects, each with a digest of what was sent and of the fingerprint that
// came back. The digest is the same only if what is to be sent is, and nobody has written
// the object since: a generation and a resourceVersion never come back, and an object that
// was made anew has another UID. With anything else, an empty status or an older one that
// was put back, the object is applied as if nothing were known.

// applicationOf an intent whose digest is sent, to an object as it is.
func applicationOf(kind schema.GroupVersionKind, sent string, o client.Object) application {
	return application{
		intent:          sent,
		fingerprint:     fingerprint(kind, o),
		resourceVersion: o.GetResourceVersion(),
		uid:             o.GetUID(),
		generation:      o.GetGeneration(),
	}
}

// mark is the digest for the status. It is keyed, so that only an operator of this
// installation can say that it has applied something.
func (l application) mark(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("applied\n" + l.intent + "\n" + l.fingerprint))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// takeOver makes a process that knows nothing of an object know it, if the object is as
// the status says that it was left.
func (a *applier) takeOver(brand *v1alpha1.BrandConnector, id objectID, as application) (application, bool) {
	left := v1alpha1.AppliedObject{Kind: id.kind.Kind, Name: id.name, Digest: as.mark(a.key)}
	if !slices.Contains(brand.Status.Objects, left) {
		return application{}, false
	}
	a.remember(client.ObjectKeyFromObject(brand), id, as)
	return as, true
}

// keepObjects lists in the status what was applied. What a brand that is held was not to
// apply stays on the list as it is.
func (r *Reconciler) keepObjects(s *scope) {
	if !s.applied {
		return
	}
	var objects []v1alpha1.AppliedObject
	for _, child := range s.output.Children {
		if child.Apply == nil {
			continue
		}
		id := objectID{kind: child.Kind, name: child.Name}
		if last, ok := r.applier.recall(s.key, id); ok {
			objects = append(objects, v1alpha1.AppliedObject{Kind: child.Kind.Kind, Name: child.Name, Digest: last.mark(r.Installation.RevisionKey)})
			continue
		}
		was := slices.IndexFunc(s.brand.Status.Objects, func(o v1alpha1.AppliedObject) bool { return o.Kind == child.Kind.Kind && o.Name == child.Name })
		if was >= 0 {
			objects = append(objects, s.brand.Status.Objects[was])
		}
	}
	s.brand.Status.Objects = objects
}
