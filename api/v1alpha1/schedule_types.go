// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReconciliationSpec compares the ledger with the providers' own books on a schedule.
type ReconciliationSpec struct {
	// schedule of the comparison in Cron syntax: five fields (0 5 * * *) or a word
	// such as @daily.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9*,/-]+ [0-9*,/-]+ [0-9*?,/-]+ [0-9A-Za-z*,/-]+ [0-9A-Za-z*?,/-]+)$`
	Schedule string `json:"schedule,omitempty"`
	// timeZone of the schedule and of the times in the report, by its IANA name.
	// +optional
	// +kubebuilder:default="Asia/Shanghai"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`
	TimeZone string `json:"timeZone,omitempty"`
	// window is how far back each comparison looks. Its last hour is left out: late
	// answers and slow bookings are still to come. Let it reach an hour further back
	// than the run before, at least; what is compared twice does no harm.
	// +optional
	// +kubebuilder:default="48h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('2h') && duration(self) <= duration('768h')",message="spec.reconciliation.window must be between 2h and 768h (32 days)"
	Window *metav1.Duration `json:"window,omitempty"`
}

// RetentionSpec takes old redemptions away on a schedule. A tombstone of each stays,
// which keeps its bizId taken. It cannot be undone.
type RetentionSpec struct {
	// schedule in Cron syntax: five fields (0 4 1 * *) or a word such as @monthly.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9*,/-]+ [0-9*,/-]+ [0-9*?,/-]+ [0-9A-Za-z*,/-]+ [0-9A-Za-z*?,/-]+)$`
	Schedule string `json:"schedule,omitempty"`
	// timeZone of the schedule, by its IANA name.
	// +optional
	// +kubebuilder:default="Asia/Shanghai"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`
	TimeZone string `json:"timeZone,omitempty"`
	// olderThan is the age, in days, from which a concluded redemption is taken away.
	// +required
	// +kubebuilder:validation:Minimum=400
	// +kubebuilder:validation:Maximum=36500
	OlderThan int32 `json:"olderThan,omitempty"`
}
