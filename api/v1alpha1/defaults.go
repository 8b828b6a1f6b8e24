// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Default fills what the schema's defaults fill on an API server, for a file that
// never saw one, and what the schema leaves to a ConnectorClass. A test holds schema and
// function together.
func (b *BrandConnector) Default() {
	for _, f := range b.Spec.defaulted() {
		f.fill()
	}
}

// Default fills what the schema's defaults fill on an API server, for a file that never
// saw one.
func (c *ConnectorClass) Default() {
	for _, f := range c.Spec.defaulted() {
		f.fill()
	}
}

// Undefault is the other way: it takes out what Default would fill in. What the
// connector is given is written without defaults, so that a new field with a default
// in a later version of this API changes no brand's configuration, and restarts no
// brand's Pods.
func (b *BrandConnector) Undefault() {
	for _, f := range b.Spec.defaulted() {
		f.clear()
	}
}

// OwnSpec is what the brand's team wrote: the spec without what the schema's defaults
// filled in, and without suspend. It is the same under every version of this API and
// under every class.
func (b *BrandConnector) OwnSpec() *BrandConnectorSpec {
	spec := b.Spec.DeepCopy()
	for _, f := range spec.schemaDefaulted() {
		f.clear()
	}
	spec.Suspend = false
	return spec
}

// defaulted is one field with its default.
type defaulted interface {
	fill()
	clear()
}

func (s *BrandConnectorSpec) defaulted() []defaulted {
	return append(s.schemaDefaulted(), s.Telemetry.defaulted()...)
}

// defaulted is what a class may say in a brand's place, so the schema cannot: a brand
// that got a default could no longer be told from one that asked for it.
func (t *TelemetrySpec) defaulted() []defaulted {
	return []defaulted{
		number{&t.SamplingPercent, 100},
		value(&t.Propagation, PropagationNone),
		value(&t.LogLevel, "info"),
	}
}

func (s *BrandConnectorSpec) schemaDefaulted() []defaulted {
	fields := []defaulted{
		seconds(&s.Keruyun.ReplyDeadline, 4),
		versions{&s.Keruyun.SignatureVersions},
		value(&s.Keruyun.RefusalReply, RefusalReplySubCode),
		value(&s.Keruyun.NoRecordReply, NoRecordReplySubCode),
		value(&s.PartialFailure, PartialFailureReport),
	}
	if z := s.Providers.Zhimai; z != nil {
		fields = append(fields,
			value(&z.Endpoint, "https://openapi.zvcms.com/api/v2"),
			value(&z.InDoubt, ZhimaiInDoubtManual),
			value(&z.SignatureKeys, ZhimaiSignatureKeysLowerCamel),
			value(&z.RepeatRefusals, RepeatRefusalsNothing),
			value(&z.ChangeAmountUnit, ZhimaiAmountUnitYuan),
			value(&z.CouponIDs, ZhimaiCouponIDsText),
			value(&z.EmptyFields, ZhimaiEmptyFieldsOmit),
			value(&z.PaymentToken, ZhimaiPaymentTokenNone),
			value(&z.CouponCodes, ZhimaiCouponCodesCouponID))
		fields = append(fields, z.Limits.defaulted()...)
	}
	if a := s.Providers.Alsc; a != nil {
		fields = append(fields,
			value(&a.Endpoint, "https://gw.api.taobao.com/router/rest"),
			value(&a.SignMethod, AlscSignHMACSHA256),
			value(&a.InDoubt, AlscInDoubtQuery),
			value(&a.RepeatRefusals, RepeatRefusalsNothing),
			value(&a.BizChannel, "KRY"),
			value(&a.Account, AlscAccountCustomer),
			value(&a.ChipCard, AlscChipCardIgnore))
		fields = append(fields, a.Limits.defaulted()...)
	}
	if p := s.Ledger.Postgres; p != nil {
		fields = append(fields, value(&p.MaxConnections, 10))
	}
	fields = append(fields, s.Ledger.Embedded.defaulted()...)
	fields = append(fields, s.Workload.Autoscaling.defaulted()...)
	if c := s.Reconciliation; c != nil {
		fields = append(fields, value(&c.TimeZone, "Asia/Shanghai"), seconds(&c.Window, 48*60*60))
	}
	if r := s.Retention; r != nil {
		fields = append(fields, value(&r.TimeZone, "Asia/Shanghai"))
	}
	return fields
}

func (s *ConnectorClassSpec) defaulted() []defaulted {
	fields := []defaulted{value(&s.Rollout.MaxConcurrent, 5), seconds(&s.Rollout.ProgressDeadline, 5*60)}
	if c := s.Rollout.Canary; c != nil {
		fields = append(fields, seconds(&c.SoakTime, 60))
	}
	if l := s.Ledger; l != nil {
		fields = append(fields, l.Embedded.defaulted()...)
		if l.Postgres != nil {
			fields = append(fields, value(&l.Postgres.MaxConnections, 10))
		}
	}
	return append(fields, s.Workload.Autoscaling.defaulted()...)
}

func (e *EmbeddedLedger) defaulted() []defaulted {
	if e == nil {
		return nil
	}
	return []defaulted{quantity{&e.Size, "1Gi"}, value(&e.OnDelete, LedgerOnDeleteRetain)}
}

func (a *AutoscalingSpec) defaulted() []defaulted {
	if a == nil {
		return nil
	}
	return []defaulted{value(&a.MinReplicas, 2), value(&a.TargetCPUUtilizationPercent, 70)}
}

func (l *ProviderLimits) defaulted() []defaulted {
	return []defaulted{value(&l.RequestsPerSecond, 10), value(&l.Concurrency, 64), seconds(&l.LateAnswerWindow, 15)}
}

// plain is a field whose zero value means that it was left out.
type plain[T comparable] struct {
	at    *T
	value T
}

func value[T comparable](at *T, v T) defaulted { return plain[T]{at, v} }

func (f plain[T]) fill() {
	var zero T
	if *f.at == zero {
		*f.at = f.value
	}
}

func (f plain[T]) clear() {
	if *f.at == f.value {
		var zero T
		*f.at = zero
	}
}

type duration struct {
	at    **metav1.Duration
	value time.Duration
}

func seconds(at **metav1.Duration, n int) defaulted {
	return duration{at, time.Duration(n) * time.Second}
}

func (f duration) fill() {
	if *f.at == nil {
		*f.at = &metav1.Duration{Duration: f.value}
	}
}

func (f duration) clear() {
	if *f.at != nil && (*f.at).Duration == f.value {
		*f.at = nil
	}
}

type number struct {
	at    **int32
	value int32
}

func (f number) fill() {
	if *f.at == nil {
		*f.at = &f.value
	}
}

func (f number) clear() {
	if *f.at != nil && **f.at == f.value {
		*f.at = nil
	}
}

type quantity struct {
	at    **resource.Quantity
	value string
}

func (f quantity) fill() {
	if *f.at == nil {
		*f.at = new(resource.MustParse(f.value))
	}
}

func (f quantity) clear() {
	if *f.at != nil && (*f.at).Cmp(resource.MustParse(f.value)) == 0 {
		*f.at = nil
	}
}

type versions struct{ at *[]SignatureVersion }

func (f versions) fill() {
	if *f.at == nil {
		*f.at = []SignatureVersion{SignatureV1, SignatureV2}
	}
}

func (f versions) clear() {
	if slices.Equal(*f.at, []SignatureVersion{SignatureV1, SignatureV2}) {
		*f.at = nil
	}
}
