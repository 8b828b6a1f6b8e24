// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/hexiao-dev/hexiao/controllers/progress"
)

// Rollout says how far a Deployment's newest template has come.
func Rollout(d *appsv1.Deployment) (verdict Verdict, say string) {
	switch p := progress.Of(d); {
	case !p.Seen:
		return Waits, "Kubernetes has not looked at it yet"
	case p.Failed:
		return Bad, fmt.Sprintf("the new Pods did not become available in time (%d of %d were started)", p.New, p.Want)
	case p.New < p.Want:
		return Waits, fmt.Sprintf("%d of %d new Pods were started", p.New, p.Want)
	case p.Total > p.New:
		return Waits, fmt.Sprintf("%d old Pods are to end", p.Total-p.New)
	case p.Available < p.Want:
		return Waits, fmt.Sprintf("%d of %d Pods are available", p.Available, p.Want)
	case !p.Complete():
		return Waits, fmt.Sprintf("there are %d Pods, and there should be %d", p.Total, p.Want)
	default:
		return Good, fmt.Sprintf("%d of %d Pods are available", p.Available, p.Want)
	}
}
