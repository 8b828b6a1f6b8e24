// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Default fills what the schema's defaults fill on an API server, for a file that
// never saw one. A test holds the two together.
func (b *BrandConnector) Default() {
	s := &b.Spec
	setDuration(&s.Keruyun.ReplyDeadline, 4*time.Second)
	if s.Keruyun.SignatureVersions == nil {
		s.Keruyun.SignatureVersions = []SignatureVersion{SignatureV1, SignatureV2}
	}
	set(&s.Keruyun.RefusalReply, RefusalReplySubCode)
	set(&s.PartialFailure, PartialFailureReport)
	if z := s.Providers.Zhimai; z != nil {
		set(&z.Endpoint, "https://openapi.zvcms.com/api/v2")
		set(&z.InDoubt, ZhimaiInDoubtManual)
		set(&z.SignatureKeys, ZhimaiSignatureKeysLowerCamel)
		set(&z.RepeatRefusals, RepeatRefusalsNothing)
		set(&z.ChangeAmountUnit, ZhimaiAmountUnitYuan)
		set(&z.CouponIDs, ZhimaiCouponIDsText)
		set(&z.EmptyFields, ZhimaiEmptyFieldsOmit)
		set(&z.PaymentToken, ZhimaiPaymentTokenNone)
		set(&z.CouponCodes, ZhimaiCouponCodesCouponID)
		z.Limits.setDefaults()
	}
	if a := s.Providers.Alsc; a != nil {
		set(&a.Endpoint, "https://gw.api.taobao.com/router/rest")
		set(&a.SignMethod, AlscSignHMACSHA256)
		set(&a.InDoubt, AlscInDoubtQuery)
		set(&a.RepeatRefusals, RepeatRefusalsNothing)
		set(&a.BizChannel, "KRY")
		set(&a.Account, AlscAccountCustomer)
		a.Limits.setDefaults()
	}
	if p := s.Ledger.Postgres; p != nil {
		set(&p.MaxConnections, 10)
	}
	if e := s.Ledger.Embedded; e != nil {
		if e.Size == nil {
			e.Size = new(resource.MustParse("1Gi"))
		}
		set(&e.OnDelete, LedgerOnDeleteRetain)
	}
	if a := s.Workload.Autoscaling; a != nil {
		set(&a.MinReplicas, 2)
		set(&a.TargetCPUUtilizationPercent, 70)
	}
	if s.Telemetry.SamplingPercent == nil {
		s.Telemetry.SamplingPercent = new(int32(100))
	}
	set(&s.Telemetry.Propagation, PropagationNone)
	set(&s.Telemetry.LogLevel, "info")
}

func (l *ProviderLimits) setDefaults() {
	set(&l.RequestsPerSecond, 10)
	set(&l.Concurrency, 64)
	setDuration(&l.LateAnswerWindow, 15*time.Second)
}

func set[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func setDuration(p **metav1.Duration, d time.Duration) {
	if *p == nil {
		*p = &metav1.Duration{Duration: d}
	}
}
