// SPDX-License-Identifier: Apache-2.0

package render

import (
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// serviceAccount is an identity without a token: the connector never speaks to the
// Kubernetes API.
func (r *renderer) serviceAccount() *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithAutomountServiceAccountToken(false)
}

// service leaves the admin port out: metrics are read from the Pods.
func (r *renderer) service() *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithSelector(SelectorLabels(r.brand)).
			WithPorts(corev1ac.ServicePort().
				WithName("http").
				WithAppProtocol("http").
				WithProtocol(corev1.ProtocolTCP).
				WithPort(PortService).
				WithTargetPort(intstr.FromString("http"))))
}

// claim is the embedded ledger's. A retained one has no owner, so the garbage
// collector leaves it: it is the proof of what members were charged.
func (r *renderer) claim() *corev1ac.PersistentVolumeClaimApplyConfiguration {
	ledger := r.brand.Spec.Ledger.Embedded
	if ledger == nil {
		return nil
	}
	c := corev1ac.PersistentVolumeClaim(LedgerClaimName(r.brand), r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithAnnotations(map[string]string{
			AnnotationBrandID: r.brand.Spec.BrandID,
			// A claim that stays has no owner, and Argo CD, which tracks by the label
			// app.kubernetes.io/instance, would take it for a leftover of its own.
			"argocd.argoproj.io/sync-options": "Prune=false",
		}).
		WithSpec(corev1ac.PersistentVolumeClaimSpec().
			WithAccessModes(corev1.ReadWriteOnce).
			WithResources(corev1ac.VolumeResourceRequirements().
				WithRequests(corev1.ResourceList{corev1.ResourceStorage: *ledger.Size})))
	if ledger.StorageClassName != "" {
		c.Spec.WithStorageClassName(ledger.StorageClassName)
	}
	if ledger.OnDelete == v1alpha1.LedgerOnDeleteDelete {
		return c.WithOwnerReferences(r.owner())
	}
	return c.WithLabels(map[string]string{LabelRetained: "true"})
}

// budget lets one Pod at a time be evicted, where there is more than one.
func (r *renderer) budget() *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	least := r.replicas()
	if a := r.brand.Spec.Workload.Autoscaling; a != nil {
		least = &a.MinReplicas
	}
	if *least < 2 {
		return nil
	}
	return policyv1ac.PodDisruptionBudget(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(r.brand))).
			// A Pod that is not healthy must not keep a node from being drained.
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow))
}

func (r *renderer) autoscaler() *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
	a := r.brand.Spec.Workload.Autoscaling
	if a == nil {
		return nil
	}
	return autoscalingv2ac.HorizontalPodAutoscaler(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithSpec(autoscalingv2ac.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscalingv2ac.CrossVersionObjectReference().
				WithAPIVersion(DeploymentKind.GroupVersion().String()).
				WithKind(DeploymentKind.Kind).
				WithName(r.brand.Name)).
			WithMinReplicas(a.MinReplicas).
			WithMaxReplicas(a.MaxReplicas).
			WithMetrics(autoscalingv2ac.MetricSpec().
				WithType(autoscalingv2.ResourceMetricSourceType).
				WithResource(autoscalingv2ac.ResourceMetricSource().
					WithName(corev1.ResourceCPU).
					WithTarget(autoscalingv2ac.MetricTarget().
						WithType(autoscalingv2.UtilizationMetricType).
						WithAverageUtilization(a.TargetCPUUtilizationPercent)))))
}

// resources are small by default, because there is a Deployment per brand. There is
// no CPU limit: it would only make tills wait. What the brand gives is taken as it
// is, so that no default contradicts it.
func (r *renderer) resources() (requests, limits corev1.ResourceList) {
	if given := r.brand.Spec.Workload.Resources; given != nil {
		return resourceList(given.Requests), resourceList(given.Limits)
	}
	return corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("10m"),
			corev1.ResourceMemory: resource.MustParse("32Mi"),
		}, corev1.ResourceList{
			corev1.ResourceMemory: resource.MustParse("128Mi"),
		}
}

func resourceList(given map[string]resource.Quantity) corev1.ResourceList {
	if len(given) == 0 {
		return nil
	}
	list := corev1.ResourceList{}
	for name, quantity := range given {
		list[corev1.ResourceName(name)] = quantity
	}
	return list
}
