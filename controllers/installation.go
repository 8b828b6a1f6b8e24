// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/controllers/render"
)

// RevisionKeySecret is the name of the Secret, in the operator's namespace, with the
// key of the hash on the pod templates. Whoever deletes it restarts every brand.
const RevisionKeySecret = "hexiao-revision-key"

const revisionKeyKey = "key"

// +kubebuilder:rbac:groups="",resources=secrets,verbs=create,namespace=hexiao-system
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=hexiao-revision-key,verbs=get,namespace=hexiao-system
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=create;get;update,namespace=hexiao-system
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch,namespace=hexiao-system

// RevisionKey reads the installation's key, and makes it the first time. Two
// replicas that start together end with the same key: one of them fails to create.
func RevisionKey(ctx context.Context, c client.Client, namespace string) ([]byte, error) {
	key := client.ObjectKey{Namespace: namespace, Name: RevisionKeySecret}
	var secret corev1.Secret
	err := c.Get(ctx, key, &secret)
	if apierrors.IsNotFound(err) {
		if err = createRevisionKey(ctx, c, key); err == nil || apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, key, &secret)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read or make Secret %s: %w", key, err)
	}
	if len(secret.Data[revisionKeyKey]) < 16 {
		return nil, fmt.Errorf("the Secret %s has no key %q of at least 16 bytes: delete it to have a new one made, which restarts every brand once", key, revisionKeyKey)
	}
	return secret.Data[revisionKeyKey], nil
}

func createRevisionKey(ctx context.Context, c client.Client, key client.ObjectKey) error {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	return c.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name,
			Labels: map[string]string{render.LabelPartOf: "hexiao", render.LabelComponent: "operator"}},
		Immutable: new(true),
		Data:      map[string][]byte{revisionKeyKey: random},
	}, client.FieldOwner(FieldManager))
}
