// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	provisioner = "hexiao.dev/local"
	// volumesDirectory is inside the mount namespace, that is, a directory of the cluster.
	volumesDirectory = "/var/lib/volumes"
	volumesInterval  = 500 * time.Millisecond
)

// A claim is what is read of a PersistentVolumeClaim.
type claim struct {
	Metadata struct{ Name, Namespace, UID string }
	Spec     struct {
		StorageClassName, VolumeName, VolumeMode string
		AccessModes                              []string
		Resources                                struct{ Requests struct{ Storage string } }
	}
	Status struct{ Phase string }
}

// A volume is what is read of a PersistentVolume.
type volume struct {
	Metadata struct{ Name string }
	Spec     struct {
		StorageClassName string
		Local            struct{ Path string }
	}
	Status struct{ Phase string }
}

// planVolumes decides which claims get a volume and which volumes go with their claims.
func planVolumes(claims []claim, volumes []volume) (provide []claim, remove []volume) {
	exists := map[string]bool{}
	for _, v := range volumes {
		exists[v.Metadata.Name] = true
		if v.Spec.StorageClassName == storageClass && (v.Status.Phase == "Released" || v.Status.Phase == "Failed") {
			remove = append(remove, v)
		}
	}
	for _, c := range claims {
		if c.Spec.StorageClassName == storageClass && c.Status.Phase == "Pending" && c.Spec.VolumeName == "" && !exists[volumeName(c)] {
			provide = append(provide, c)
		}
	}
	return provide, remove
}

func volumeName(c claim) string { return "pvc-" + c.Metadata.UID }

// volumeFor is a directory of the node for one claim. A local volume, other than a hostPath, is handed to the group of the
// Pod (fsGroup), as volumes of real clusters are.
func volumeFor(c claim, node string) object {
	return object{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": object{"name": volumeName(c), "annotations": object{"pv.kubernetes.io/provisioned-by": provisioner}},
		"spec": object{
			"capacity": object{"storage": c.Spec.Resources.Requests.Storage}, "accessModes": c.Spec.AccessModes, "volumeMode": "Filesystem",
			"storageClassName": storageClass, "persistentVolumeReclaimPolicy": "Delete",
			"claimRef": object{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": c.Metadata.Namespace, "name": c.Metadata.Name, "uid": c.Metadata.UID},
			"local":    object{"path": filepath.Join(volumesDirectory, volumeName(c))},
			"nodeAffinity": object{"required": object{"nodeSelectorTerms": []object{{"matchExpressions": []object{
				{"key": "kubernetes.io/hostname", "operator": "In", "values": []string{node}},
			}}}}},
		},
	}
}

// serveVolumes gives each claim of the storage class a directory, and takes it back, until ctx ends. A round that fails is
// repeated; report is told about it.
func serveVolumes(ctx context.Context, a *api, node string, report func(error)) {
	tick := time.NewTicker(volumesInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := volumesRound(ctx, a, node); err != nil {
				report(fmt.Errorf("volumes: %w", err))
			}
		}
	}
}

func volumesRound(ctx context.Context, a *api, node string) error {
	var claims struct{ Items []claim }
	if err := a.call(ctx, http.MethodGet, "/api/v1/persistentvolumeclaims", nil, &claims); err != nil {
		return err
	}
	var volumes struct{ Items []volume }
	if err := a.call(ctx, http.MethodGet, "/api/v1/persistentvolumes", nil, &volumes); err != nil {
		return err
	}
	provide, remove := planVolumes(claims.Items, volumes.Items)
	var failures []error
	for _, c := range provide {
		failures = append(failures, provideVolume(ctx, a, c, node))
	}
	for _, v := range remove {
		failures = append(failures, removeVolume(ctx, a, v))
	}
	return errors.Join(failures...)
}

func provideVolume(ctx context.Context, a *api, c claim, node string) error {
	path := filepath.Join(volumesDirectory, volumeName(c))
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o777); err != nil { // whatever the umask; Pods without an fsGroup write here too
		return err
	}
	return a.create(ctx, "/api/v1/persistentvolumes", volumeName(c), volumeFor(c, node))
}

func removeVolume(ctx context.Context, a *api, v volume) error {
	if filepath.Dir(v.Spec.Local.Path) != volumesDirectory {
		return fmt.Errorf("volume %s lies at %q, which is not ours to remove", v.Metadata.Name, v.Spec.Local.Path)
	}
	if err := os.RemoveAll(v.Spec.Local.Path); err != nil {
		return err
	}
	return a.remove(ctx, "/api/v1/persistentvolumes/"+v.Metadata.Name)
}
