// SPDX-License-Identifier: Apache-2.0

package native

// object is a Kubernetes object as JSON.
type object map[string]any

// A creation is an object and the path it is posted to.
type creation struct {
	path   string
	object object
}

func (c creation) name() string { return c.object["metadata"].(object)["name"].(string) }

// storageClass is the default class of the cluster's volumes.
const storageClass = "hexiao-local"

// objects are what the cluster itself needs in its API: the name server's address and rights, and the storage class.
func objects(l layout) []creation {
	dnsPorts := func(key string) []object {
		return []object{
			{"name": "dns", "protocol": "UDP", "port": 53, key: 53},
			{"name": "dns-tcp", "protocol": "TCP", "port": 53, key: 53},
		}
	}
	const rbac = "/apis/rbac.authorization.k8s.io/v1/"
	return []creation{
		{rbac + "clusterroles", object{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": object{"name": "hexiao:coredns"},
			"rules": []object{
				{"apiGroups": []string{""}, "resources": []string{"endpoints", "services", "pods", "namespaces"}, "verbs": []string{"list", "watch"}},
				{"apiGroups": []string{"discovery.k8s.io"}, "resources": []string{"endpointslices"}, "verbs": []string{"list", "watch"}},
			},
		}},
		{rbac + "clusterrolebindings", object{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": object{"name": "hexiao:coredns"},
			"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "hexiao:coredns"},
			"subjects": []object{{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "hexiao:coredns"}},
		}},
		// The name server is no Pod but a process of the node: a Service without a selector, and its endpoint by hand.
		{"/api/v1/namespaces/kube-system/services", object{
			"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "kube-dns", "namespace": "kube-system", "labels": object{"k8s-app": "kube-dns"}},
			"spec": object{"clusterIP": l.dnsService(), "ports": dnsPorts("targetPort")},
		}},
		{"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", object{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
			"metadata": object{"name": "kube-dns-node", "namespace": "kube-system", "labels": object{
				"kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "hexiao-cluster",
			}},
			"endpoints": []object{{"addresses": []string{l.nodeAddress()}, "conditions": object{"ready": true}}},
			"ports": []object{
				{"name": "dns", "protocol": "UDP", "port": 53},
				{"name": "dns-tcp", "protocol": "TCP", "port": 53},
			},
		}},
		{"/apis/storage.k8s.io/v1/storageclasses", object{
			"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
			"metadata":    object{"name": storageClass, "annotations": object{"storageclass.kubernetes.io/is-default-class": "true"}},
			"provisioner": provisioner, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
		}},
	}
}
