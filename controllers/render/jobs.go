// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// Components of the Jobs: the value of LabelComponent, and the end of the CronJob's
// name.
const (
	jobReconciliation = "reconciliation"
	jobRetention      = "retention"
)

const (
	// settleMargin is the end of a reconciliation's window that is left out: late
	// answers and slow bookings there would look like differences.
	settleMargin = time.Hour
	// exitDiffers is the exit code of a reconciliation that found differences.
	exitDiffers = 2
	// startMargin is how late a run may still start, after a control plane was away.
	startMargin = time.Hour
	// jobDeadline ends a Job that hangs: the next one would wait for it for ever.
	jobDeadline = 6 * time.Hour
	// embeddedJobDeadline is shorter, because a Pod that holds the ledger's volume
	// on a node keeps a connector that moves to another node from starting there.
	embeddedJobDeadline = 15 * time.Minute
	// jobNameLimit is Kubernetes' own: the names of Jobs and Pods are made of it.
	jobNameLimit = 52
)

// cronJobName is the name of a brand's CronJob. A long one is cut, and a hash keeps it
// apart from others.
func cronJobName(b *v1alpha1.BrandConnector, component string) string {
	name := b.Name + "-" + component
	if len(name) <= jobNameLimit {
		return name
	}
	sum := sha256.Sum256([]byte(b.Name))
	end := "-" + hex.EncodeToString(sum[:4]) + "-" + component
	return strings.TrimRight(b.Name[:jobNameLimit-len(end)], "-") + end
}

// jobsPolicyName is the name of the NetworkPolicy of a brand's Jobs.
func jobsPolicyName(b *v1alpha1.BrandConnector) string { return b.Name + "-jobs" }

// jobSelectorLabels select the Pods of all Jobs of a brand. They are none of the
// connector's: a till's call must never be sent to them.
func jobSelectorLabels(b *v1alpha1.BrandConnector) map[string]string {
	return map[string]string{LabelName: JobAppName, LabelInstance: b.Name}
}

func jobLabels(b *v1alpha1.BrandConnector, component string) map[string]string {
	l := jobSelectorLabels(b)
	l[LabelComponent] = component
	l[LabelPartOf] = "hexiao"
	l[LabelManagedBy] = ManagedBy
	return l
}

// reconciliation compares the ledger with the providers' books. It only reads, so it
// may run beside the connector, whichever kind of ledger that has.
func (r *renderer) reconciliation() *batchv1ac.CronJobApplyConfiguration {
	c := r.brand.Spec.Reconciliation
	if c == nil {
		return nil
	}
	args := r.args([]string{"reconcile"},
		"--from="+c.Window.Duration.String(),
		"--to="+settleMargin.String(),
		"--time-zone="+c.TimeZone)
	job := r.cronJob(jobReconciliation, c.Schedule, c.TimeZone, args)
	// Differences stay differences however often they are looked for; a provider that
	// did not answer may do so the next time.
	job.Spec.JobTemplate.Spec.PodFailurePolicy.WithRules(
		batchv1ac.PodFailurePolicyRule().
			WithAction(batchv1.PodFailurePolicyActionFailJob).
			WithOnExitCodes(batchv1ac.PodFailurePolicyOnExitCodesRequirement().
				WithContainerName(ContainerName).
				WithOperator(batchv1.PodFailurePolicyOnExitCodesOpIn).
				WithValues(exitDiffers)))
	return job
}

// retention takes old redemptions away. It writes, which needs a ledger that takes more
// than one writer; the API demands one.
func (r *renderer) retention() *batchv1ac.CronJobApplyConfiguration {
	c := r.brand.Spec.Retention
	if c == nil {
		return nil
	}
	args := r.args([]string{"ledger", "retain"}, fmt.Sprintf("--older-than=%dd", c.OlderThan), "--yes")
	return r.cronJob(jobRetention, c.Schedule, c.TimeZone, args)
}

// cronJob runs the connector's program with other arguments. Its Pods read the
// configuration and the credentials as they are when they start, so neither is part of
// the template.
func (r *renderer) cronJob(component, schedule, timeZone string, args []string) *batchv1ac.CronJobApplyConfiguration {
	labels := jobLabels(r.brand, component)
	w := &r.brand.Spec.Workload
	return batchv1ac.CronJob(cronJobName(r.brand, component), r.brand.Namespace).
		WithLabels(labels).
		WithOwnerReferences(r.owner()).
		WithSpec(batchv1ac.CronJobSpec().
			WithSchedule(schedule).
			WithTimeZone(timeZone).
			WithConcurrencyPolicy(batchv1.ForbidConcurrent).
			WithStartingDeadlineSeconds(int64(startMargin / time.Second)).
			WithSuccessfulJobsHistoryLimit(3).
			WithFailedJobsHistoryLimit(3).
			WithJobTemplate(batchv1ac.JobTemplateSpec().
				WithLabels(labels).
				WithSpec(batchv1ac.JobSpec().
					WithBackoffLimit(2).
					WithActiveDeadlineSeconds(r.jobDeadline()).
					WithPodFailurePolicy(batchv1ac.PodFailurePolicy().WithRules(evictionIsNoFailure())).
					WithTemplate(corev1ac.PodTemplateSpec().
						WithLabels(w.PodLabels).
						WithLabels(labels).
						WithAnnotations(w.PodAnnotations).
						WithSpec(r.jobPodSpec(args))))))
}

// evictionIsNoFailure has a Pod that a drained node took along run again.
func evictionIsNoFailure() *batchv1ac.PodFailurePolicyRuleApplyConfiguration {
	return batchv1ac.PodFailurePolicyRule().
		WithAction(batchv1.PodFailurePolicyActionIgnore).
		WithOnPodConditions(batchv1ac.PodFailurePolicyOnPodConditionsPattern().
			WithType(corev1.DisruptionTarget).
			WithStatus(corev1.ConditionTrue))
}

func (r *renderer) jobDeadline() int64 {
	if r.brand.Spec.Ledger.Embedded != nil {
		return int64(embeddedJobDeadline / time.Second)
	}
	return int64(jobDeadline / time.Second)
}

func (r *renderer) jobPodSpec(args []string) *corev1ac.PodSpecApplyConfiguration {
	spec := r.basePodSpec().
		WithRestartPolicy(corev1.RestartPolicyNever).
		WithContainers(r.baseContainer(args))
	if r.brand.Spec.Ledger.Embedded != nil {
		// The ledger's volume is mounted on one node at a time: the connector's. And
		// while there is no connector, nobody may take the volume elsewhere.
		spec.WithAffinity(corev1ac.Affinity().WithPodAffinity(corev1ac.PodAffinity().
			WithRequiredDuringSchedulingIgnoredDuringExecution(corev1ac.PodAffinityTerm().
				WithTopologyKey(corev1.LabelHostname).
				WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(r.brand))))))
	}
	return spec
}

// jobsNetworkPolicy lets the Jobs out to where the connector may go, and nobody in.
func (r *renderer) jobsNetworkPolicy() *networkingv1ac.NetworkPolicyApplyConfiguration {
	if r.brand.Spec.Reconciliation == nil && r.brand.Spec.Retention == nil {
		return nil
	}
	return networkingv1ac.NetworkPolicy(jobsPolicyName(r.brand), r.brand.Namespace).
		WithLabels(jobLabels(r.brand, "jobs")).
		WithOwnerReferences(r.owner()).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(jobSelectorLabels(r.brand))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithEgress(r.egress()...))
}
