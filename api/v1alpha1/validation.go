// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate makes the demands of the schema and its CEL rules on a file that never
// saw an API server: it is called after Default, by the connector. Rules that
// compare with an older object cannot apply. The table in
// testdata/validation.yaml holds Validate and the API server together.
//
// A brand without a ledger is valid, for its class may have one: whoever needs a ledger
// asks for it after Resolve.
func (b *BrandConnector) Validate() field.ErrorList {
	v := &validator{}
	if len(b.Name) > 52 {
		v.invalid(field.NewPath("metadata", "name"), b.Name, "metadata.name must be at most 52 characters, so that the names of the Pods fit")
	}
	if !namePattern.MatchString(b.Name) {
		v.invalid(field.NewPath("metadata", "name"), b.Name, "metadata.name must be lower-case letters, digits and hyphens and begin with a letter: a Service of this name is made")
	}
	p := field.NewPath("spec")
	s := &b.Spec
	v.optional(p.Child("connectorClassName"), s.ConnectorClassName, 253, objectPattern)
	v.text(p.Child("brandID"), s.BrandID, 64, idPattern)
	v.keruyun(p.Child("keruyun"), &s.Keruyun)
	v.providers(p.Child("providers"), &s.Providers)
	v.routes(p.Child("routes"), s)
	v.shops(p, s)
	v.operators(p.Child("operators"), s.Operators)
	v.enum(p.Child("partialFailure"), string(s.PartialFailure), "Report", "Reverse")
	v.ledger(p.Child("ledger"), s)
	v.workload(p.Child("workload"), &s.Workload)
	if s.Exposure != nil {
		v.exposure(p.Child("exposure"), s.Exposure)
	}
	v.telemetry(p.Child("telemetry"), &s.Telemetry)
	if s.Reconciliation != nil {
		v.reconciliation(p.Child("reconciliation"), s.Reconciliation)
	}
	if s.Retention != nil {
		v.retention(p.Child("retention"), s)
	}
	return v.errs
}

// pattern is what a text must match, and the same in words.
type pattern struct {
	*regexp.Regexp
	words string
}

func must(expression, words string) pattern { return pattern{regexp.MustCompile(expression), words} }

var (
	idPattern        = must(`^[0-9A-Za-z_-]+$`, "must be letters, digits, - and _")
	objectPattern    = must(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`, "must be the name of an object: lower-case letters, digits, - and ., with a letter or digit at both ends")
	keyPattern       = must(`^[-._a-zA-Z0-9]+$`, "must be a key: letters, digits, -, _ and .")
	labelPattern     = must(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, "must be lower-case letters, digits and -, with a letter or digit at both ends")
	hostPattern      = must(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`, "must be a host name of lower-case letters, digits, - and ., such as pos.example.com, without https:// and path")
	actionPattern    = must(`^[A-Za-z0-9._-]+$`, "must be the name of an action: letters, digits, ., _ and -")
	sqlSchemaPattern = must(`^[a-z_][a-z0-9_]*$`, "must be lower-case letters, digits and _, and not begin with a digit")
	anyText          = must(``, "")

	namePattern     = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	schedulePattern = regexp.MustCompile(`^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|` + cronFields() + `)$`)
	timeZonePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)
)

// cronFields is a pattern of the five fields of a schedule in Cron syntax. What it takes
// Kubernetes takes, but for a range whose end is before its beginning.
func cronFields() string {
	field := func(any, value string) string {
		item := "(" + any + "|" + value + "(-" + value + ")?)(/[1-9][0-9]*)?"
		return item + "(," + item + ")*"
	}
	return strings.Join([]string{
		field("[*]", "[0-5]?[0-9]"),
		field("[*]", "([01]?[0-9]|2[0-3])"),
		field("[*?]", "(0?[1-9]|[12][0-9]|3[01])"),
		field("[*]", "(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))"),
		field("[*?]", "([0-6]|(?i:sun|mon|tue|wed|thu|fri|sat))"),
	}, " ")
}

type validator struct{ errs field.ErrorList }

func (v *validator) invalid(p *field.Path, value any, message string) {
	v.errs = append(v.errs, field.Invalid(p, value, message))
}

func (v *validator) required(p *field.Path, message string) {
	v.errs = append(v.errs, field.Required(p, message))
}

// text demands a text of 1 to most bytes.
func (v *validator) text(p *field.Path, s string, most int, pattern pattern) {
	if s == "" {
		v.required(p, "must not be empty")
		return
	}
	v.optional(p, s, most, pattern)
}

func (v *validator) optional(p *field.Path, s string, most int, pattern pattern) {
	switch {
	case s == "":
	case len([]rune(s)) > most:
		v.invalid(p, s, fmt.Sprintf("must be at most %d characters", most))
	case !pattern.MatchString(s):
		v.invalid(p, s, pattern.words)
	}
}

func (v *validator) enum(p *field.Path, s string, allowed ...string) {
	if !slices.Contains(allowed, s) {
		v.errs = append(v.errs, field.NotSupported(p, s, allowed))
	}
}

func (v *validator) between(p *field.Path, n, low, high int64) {
	if n < low || n > high {
		v.invalid(p, n, fmt.Sprintf("must be between %d and %d", low, high))
	}
}

func (v *validator) duration(p *field.Path, d *metav1.Duration, low, high time.Duration, message string) {
	if d != nil && (d.Duration < low || d.Duration > high) {
		v.invalid(p, d.Duration.String(), message)
	}
}

func (v *validator) url(p *field.Path, s string) {
	if len(s) > 512 {
		v.invalid(p, s, "must be at most 512 characters")
		return
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.ContainsAny(s, "@?#") {
		v.invalid(p, s, p.String()+" must be an http or https URL without user, query or fragment")
	}
}

func (v *validator) secret(p *field.Path, r LocalObjectReference) {
	v.text(p.Child("name"), r.Name, 253, objectPattern)
}

func (v *validator) keruyun(p *field.Path, k *KeruyunSpec) {
	v.secret(p.Child("credentialsSecretRef"), k.CredentialsSecretRef)
	v.optional(p.Child("brandID"), k.BrandID, 64, idPattern)
	v.duration(p.Child("replyDeadline"), k.ReplyDeadline, 500*time.Millisecond, time.Minute,
		"spec.keruyun.replyDeadline must be between 500ms and 60s")
	versions := p.Child("signatureVersions")
	if len(k.SignatureVersions) == 0 {
		v.required(versions, "accept at least one version")
	}
	seen := map[SignatureVersion]bool{}
	for i, version := range k.SignatureVersions {
		v.enum(versions.Index(i), string(version), "1.0", "2.0")
		if seen[version] {
			v.errs = append(v.errs, field.Duplicate(versions.Index(i), version))
		}
		seen[version] = true
	}
	v.enum(p.Child("refusalReply"), string(k.RefusalReply), "SubCode", "SystemError")
	v.enum(p.Child("noRecordReply"), string(k.NoRecordReply), "SubCode", "SystemError", "InDoubt")
}

func (v *validator) providers(p *field.Path, s *ProvidersSpec) {
	if s.Zhimai == nil && s.Alsc == nil {
		v.required(p, "configure at least one of spec.providers.zhimai and spec.providers.alsc")
	}
	if z := s.Zhimai; z != nil {
		v.zhimai(p.Child("zhimai"), z)
	}
	if a := s.Alsc; a != nil {
		v.alsc(p.Child("alsc"), a)
	}
}

func (v *validator) zhimai(p *field.Path, z *ZhimaiSpec) {
	v.url(p.Child("endpoint"), z.Endpoint)
	v.secret(p.Child("credentialsSecretRef"), z.CredentialsSecretRef)
	v.enum(p.Child("inDoubt"), string(z.InDoubt), "Manual", "ReplaySameBizID", "QueryBills")
	v.optional(p.Child("reversalAction"), z.ReversalAction, 128, actionPattern)
	v.enum(p.Child("signatureKeys"), string(z.SignatureKeys), "LowerCamel", "Capitalized")
	v.enum(p.Child("paymentToken"), string(z.PaymentToken), "None", "PayPassword")
	v.enum(p.Child("couponCodes"), string(z.CouponCodes), "CouponID", "ScanCode")
	v.set(p.Child("refusedCodes"), z.RefusedCodes)
	v.set(p.Child("rateLimitCodes"), z.RateLimitCodes)
	v.enum(p.Child("repeatRefusals"), string(z.RepeatRefusals), "Nothing", "Final")
	v.enum(p.Child("changeAmountUnit"), string(z.ChangeAmountUnit), "Yuan", "Fen")
	v.enum(p.Child("couponIDs"), string(z.CouponIDs), "Text", "Number")
	v.enum(p.Child("emptyFields"), string(z.EmptyFields), "Omit", "Send")
	if z.PaymentToken == ZhimaiPaymentTokenPayPassword && z.InDoubt == ZhimaiInDoubtReplaySameBizID && z.RepeatRefusals == RepeatRefusalsFinal {
		v.invalid(p.Child("repeatRefusals"), z.RepeatRefusals, "a call that is repeated carries no password, so its refusal says nothing of the first: paymentToken PayPassword with inDoubt ReplaySameBizID needs repeatRefusals Nothing")
	}
	v.limits(p.Child("limits"), &z.Limits)
	if z.Consume != nil {
		v.consume(p.Child("consume"), z.Consume)
	}
}

func (v *validator) consume(p *field.Path, c *ZhimaiConsume) {
	for _, f := range []struct {
		name, value string
		most        int
	}{
		{"channel", c.Channel, 128}, {"appType", c.AppType, 128}, {"deviceSN", c.DeviceSN, 128}, {"ip", c.IP, 64},
		{"operatorName", c.OperatorName, 128}, {"productName", c.ProductName, 128}, {"reason", c.Reason, 256},
		{"remark", c.Remark, 256}, {"usePassword", c.UsePassword, 32},
	} {
		v.optional(p.Child(f.name), f.value, f.most, anyText)
	}
	for name, n := range map[string]*int64{"groupID": c.GroupID, "opType": c.OpType, "operatorID": c.OperatorID} {
		if n != nil && *n < 0 {
			v.invalid(p.Child(name), *n, "must not be negative")
		}
	}
}

func (v *validator) alsc(p *field.Path, a *AlscSpec) {
	v.url(p.Child("endpoint"), a.Endpoint)
	v.secret(p.Child("credentialsSecretRef"), a.CredentialsSecretRef)
	v.enum(p.Child("signMethod"), string(a.SignMethod), "md5", "hmac", "hmac-sha256")
	v.enum(p.Child("inDoubt"), string(a.InDoubt), "Query", "ReplaySameRequestID", "Manual")
	v.optional(p.Child("brandID"), a.BrandID, 64, anyText)
	v.text(p.Child("bizChannel"), a.BizChannel, 32, anyText)
	v.optional(p.Child("operatorID"), a.OperatorID, 64, anyText)
	v.enum(p.Child("account"), string(a.Account), "Customer", "Card", "CustomerAndCard")
	v.enum(p.Child("chipCard"), string(a.ChipCard), "Ignore", "CardID")
	if a.ChipCard == AlscChipCardCardID && a.Account == AlscAccountCustomer {
		v.invalid(p, a.ChipCard, "chipCard CardID needs account Card or CustomerAndCard: with Customer no card is named")
	}
	if a.ChipCard == AlscChipCardCardID && a.InDoubt == AlscInDoubtReplaySameRequestID {
		v.invalid(p, a.ChipCard, "chipCard CardID cannot go with inDoubt ReplaySameRequestID: the number is not kept, so the call cannot be repeated; use Query")
	}
	v.enum(p.Child("repeatRefusals"), string(a.RepeatRefusals), "Nothing", "Final")
	v.set(p.Child("notFoundCodes"), a.NotFoundCodes)
	v.optional(p.Child("remark"), a.Remark, 256, anyText)
	if len(a.ExtInfo) > 32 {
		v.errs = append(v.errs, field.TooMany(p.Child("extInfo"), len(a.ExtInfo), 32))
	}
	v.limits(p.Child("limits"), &a.Limits)
}

func (v *validator) limits(p *field.Path, l *ProviderLimits) {
	v.between(p.Child("requestsPerSecond"), int64(l.RequestsPerSecond), 1, 10000)
	v.between(p.Child("concurrency"), int64(l.Concurrency), 1, 10000)
	v.duration(p.Child("lateAnswerWindow"), l.LateAnswerWindow, time.Second, 5*time.Minute,
		"lateAnswerWindow must be between 1s and 5m")
}

// Bounds of the routes, and of lists of codes. An API server compares each id with each of the other routes',
// and it bounds that work: with more of either it would refuse the rule, or a full brand.
const (
	maxRoutes   = 16
	maxMappings = 64
)

// set demands that a list, which may be absent, has no doubles and at most 64 texts of
// up to 64 characters.
func (v *validator) set(p *field.Path, items []string) {
	if len(items) > maxMappings {
		v.errs = append(v.errs, field.TooMany(p, len(items), maxMappings))
	}
	seen := map[string]bool{}
	for i, item := range items {
		v.text(p.Index(i), item, 64, anyText)
		if seen[item] {
			v.errs = append(v.errs, field.Duplicate(p.Index(i), item))
		}
		seen[item] = true
	}
}

func (v *validator) routes(p *field.Path, s *BrandConnectorSpec) {
	if len(s.Routes) == 0 {
		v.required(p, "route at least one asset")
	}
	if len(s.Routes) > maxRoutes {
		v.errs = append(v.errs, field.TooMany(p, len(s.Routes), maxRoutes))
	}
	names := map[string]bool{}
	routed := map[string]string{}
	for i, r := range s.Routes {
		p := p.Index(i)
		v.text(p.Child("name"), r.Name, 63, labelPattern)
		if names[r.Name] {
			v.errs = append(v.errs, field.Duplicate(p.Child("name"), r.Name))
		}
		names[r.Name] = true
		ids := p.Child("match", "assetMappingIDs")
		if len(r.Match.AssetMappingIDs) == 0 {
			v.required(ids, "name at least one assetMappingId")
		}
		v.set(ids, r.Match.AssetMappingIDs)
		for at, id := range r.Match.AssetMappingIDs {
			if before, ok := routed[id]; ok && before != r.Name {
				v.invalid(ids.Index(at), id, fmt.Sprintf("the route %s has this id already; the first route wins, so this one could never match it: name each id in one route", before))
				continue
			}
			routed[id] = r.Name
		}
		v.enum(p.Child("asset"), string(r.Asset), "StoredValue", "Coupon", "Points")
		v.enum(p.Child("provider"), string(r.Provider), "zhimai", "alsc")
		if r.Provider == ProviderZhimai && s.Providers.Zhimai == nil || r.Provider == ProviderAlsc && s.Providers.Alsc == nil {
			v.invalid(p.Child("provider"), r.Provider, "every route's provider must be configured under spec.providers")
		}
		if r.Provider == ProviderAlsc && (r.Asset == AssetCoupon || r.Asset == AssetPoints) {
			v.alscIDs(p, r.Asset, s)
		}
	}
}

// alscIDs demands what ALSC's call that spends points and coupons cannot do without: it
// knows brand and shops by ALSC's own ids alone (alibaba.alsc.crm.open.assert.verify).
func (v *validator) alscIDs(p *field.Path, asset Asset, s *BrandConnectorSpec) {
	if s.Providers.Alsc != nil && s.Providers.Alsc.BrandID == "" {
		v.invalid(p.Child("asset"), asset, "a route of Coupon or Points to alsc needs spec.providers.alsc.brandID, ALSC's own id of the brand: without it every such request would be refused")
	}
	if s.ShopsConfigMapRef == nil && !slices.ContainsFunc(s.Shops, func(shop Shop) bool { return shop.Alsc != nil }) {
		v.invalid(p.Child("asset"), asset, "a route of Coupon or Points to alsc needs ALSC's own ids of the shops: list each shop with its alsc.shopID in spec.shops, or in the ConfigMap of spec.shopsConfigMapRef")
	}
}

func (v *validator) shops(p *field.Path, s *BrandConnectorSpec) {
	if len(s.Shops) > 0 && s.ShopsConfigMapRef != nil {
		v.invalid(p.Child("shopsConfigMapRef"), s.ShopsConfigMapRef.Name, "give spec.shops or spec.shopsConfigMapRef, not both")
	}
	if s.ShopsConfigMapRef != nil {
		v.secret(p.Child("shopsConfigMapRef"), *s.ShopsConfigMapRef)
	}
	if len(s.Shops) > 2000 {
		v.errs = append(v.errs, field.TooMany(p.Child("shops"), len(s.Shops), 2000))
	}
	v.shopList(p.Child("shops"), s.Shops)
}

// shopList judges the entries, wherever the list stands.
func (v *validator) shopList(p *field.Path, shops []Shop) {
	unique(v, p, shops, v.shop, "kryShopID", func(s *Shop) string { return s.KryShopID })
}

// unique judges the elements of a list, whose ids must differ. id is the field that has it.
func unique[T any](v *validator, p *field.Path, list []T, judge func(*field.Path, *T), id string, of func(*T) string) {
	seen := map[string]bool{}
	for i := range list {
		p, is := p.Index(i), of(&list[i])
		judge(p, &list[i])
		if seen[is] {
			v.errs = append(v.errs, field.Duplicate(p.Child(id), is))
		}
		seen[is] = true
	}
}

func (v *validator) shop(p *field.Path, s *Shop) {
	v.text(p.Child("kryShopID"), s.KryShopID, 64, anyText)
	if s.Zhimai == nil && s.Alsc == nil {
		v.required(p, "a shop is listed only to name it differently: give zhimai or alsc")
	}
	if s.Zhimai != nil {
		v.text(p.Child("zhimai", "multiMark"), s.Zhimai.MultiMark, 64, anyText)
	}
	if s.Alsc != nil {
		v.text(p.Child("alsc", "shopID"), s.Alsc.ShopID, 64, anyText)
	}
}

func (v *validator) operators(p *field.Path, list []Operator) {
	if len(list) > 2000 {
		v.errs = append(v.errs, field.TooMany(p, len(list), 2000))
	}
	unique(v, p, list, v.operator, "kryOperatorID", func(o *Operator) string { return o.KryOperatorID })
}

func (v *validator) operator(p *field.Path, o *Operator) {
	v.text(p.Child("kryOperatorID"), o.KryOperatorID, 64, anyText)
	if o.Zhimai == nil && o.Alsc == nil {
		v.required(p, "an operator is listed only to name them differently: give zhimai or alsc")
	}
	if z := o.Zhimai; z != nil {
		p := p.Child("zhimai")
		switch {
		case z.OperatorID == nil:
			v.required(p.Child("operatorID"), "give Zhimai's operatorId")
		case *z.OperatorID < 0:
			v.invalid(p.Child("operatorID"), *z.OperatorID, "must not be negative")
		}
		// The name is a person's: the message of a fault does not repeat it.
		if len([]rune(z.OperatorName)) > 128 {
			v.errs = append(v.errs, field.TooLong(p.Child("operatorName"), "", 128))
		}
	}
	if o.Alsc != nil {
		v.text(p.Child("alsc", "operatorID"), o.Alsc.OperatorID, 64, anyText)
	}
}

func (v *validator) ledger(p *field.Path, s *BrandConnectorSpec) {
	l := &s.Ledger
	if l.Postgres != nil && l.Embedded != nil {
		v.invalid(p, "", "give exactly one of spec.ledger.postgres and spec.ledger.embedded")
	}
	if pg := l.Postgres; pg != nil {
		v.dsn(p.Child("postgres"), pg.DSNSecretRef, pg.MaxConnections)
		v.optional(p.Child("postgres", "schema"), pg.Schema, 63, sqlSchemaPattern)
	}
	if l.Embedded == nil {
		return
	}
	v.embedded(p.Child("embedded"), l.Embedded)
	if r := s.Workload.Replicas; r != nil && *r > 1 {
		v.invalid(p, *r, "the embedded ledger is one file: spec.workload.replicas must be 1 at most; use spec.ledger.postgres for more")
	}
	if s.Workload.Autoscaling != nil {
		v.invalid(p, "", "the embedded ledger is one file: spec.workload.autoscaling needs spec.ledger.postgres")
	}
}

func (v *validator) dsn(p *field.Path, ref SecretKeyReference, maxConnections int32) {
	v.text(p.Child("dsnSecretRef", "name"), ref.Name, 253, objectPattern)
	v.text(p.Child("dsnSecretRef", "key"), ref.Key, 253, keyPattern)
	v.between(p.Child("maxConnections"), int64(maxConnections), 2, 200)
}

func (v *validator) embedded(p *field.Path, e *EmbeddedLedger) {
	if e.Size != nil && (e.Size.Cmp(resource.MustParse("64Mi")) < 0 || e.Size.Cmp(resource.MustParse("1Ti")) > 0) {
		v.invalid(p.Child("size"), e.Size.String(), "spec.ledger.embedded.size must be between 64Mi and 1Ti")
	}
	v.optional(p.Child("storageClassName"), e.StorageClassName, 253, anyText)
	v.enum(p.Child("onDelete"), string(e.OnDelete), "Retain", "Delete")
}

func (v *validator) workload(p *field.Path, w *WorkloadSpec) {
	if w.Replicas != nil {
		v.between(p.Child("replicas"), int64(*w.Replicas), 0, 100)
		if w.Autoscaling != nil {
			v.invalid(p, *w.Replicas, "give spec.workload.replicas or spec.workload.autoscaling, not both")
		}
	}
	if a := w.Autoscaling; a != nil {
		p := p.Child("autoscaling")
		v.between(p.Child("minReplicas"), int64(a.MinReplicas), 1, 100)
		v.between(p.Child("maxReplicas"), int64(a.MaxReplicas), 1, 100)
		v.between(p.Child("targetCPUUtilizationPercent"), int64(a.TargetCPUUtilizationPercent), 1, 100)
		if a.MinReplicas > a.MaxReplicas {
			v.invalid(p, a.MinReplicas, "spec.workload.autoscaling.minReplicas must not exceed maxReplicas")
		}
	}
	if r := w.Resources; r != nil {
		v.resources(p.Child("resources", "requests"), r.Requests)
		v.resources(p.Child("resources", "limits"), r.Limits)
	}
	for k := range w.PodLabels {
		if strings.HasPrefix(k, "app.kubernetes.io/") || strings.HasPrefix(k, Group+"/") {
			v.invalid(p.Child("podLabels"), k, "podLabels must not use the prefixes app.kubernetes.io/ and connect.hexiao.dev/: the operator's own labels have them")
		}
	}
	for k := range w.PodAnnotations {
		if strings.HasPrefix(k, Group+"/") {
			v.invalid(p.Child("podAnnotations"), k, "podAnnotations must not use the prefix connect.hexiao.dev/: the operator's own annotations have it")
		}
	}
	for i, t := range w.Tolerations {
		if t.Operator == "Exists" && t.Value != "" {
			v.invalid(p.Child("tolerations").Index(i), t.Value, "a toleration with operator Exists takes no value")
		}
	}
}

func (v *validator) resources(p *field.Path, m map[string]resource.Quantity) {
	for k := range m {
		if k != "cpu" && k != "memory" && k != "ephemeral-storage" {
			v.invalid(p, k, p.String()+" knows cpu, memory and ephemeral-storage")
		}
	}
}

func (v *validator) exposure(p *field.Path, e *ExposureSpec) {
	v.text(p.Child("hostname"), e.Hostname, 253, hostPattern)
	v.exposedBy(p, e)
}

// exposedBy judges what a brand's exposure and a class's have in common.
func (v *validator) exposedBy(p *field.Path, e *ExposureSpec) {
	if (e.GatewayRef != nil) == (e.IngressClassName != "") {
		v.invalid(p, "", "give exactly one of spec.exposure.gatewayRef and spec.exposure.ingressClassName")
	}
	if e.GatewayRef != nil {
		v.text(p.Child("gatewayRef", "name"), e.GatewayRef.Name, 253, anyText)
	}
	if e.TLSSecretRef != nil {
		v.secret(p.Child("tlsSecretRef"), *e.TLSSecretRef)
		if e.IngressClassName == "" {
			v.invalid(p.Child("tlsSecretRef"), e.TLSSecretRef.Name, "spec.exposure.tlsSecretRef belongs to an Ingress; a Gateway's listener has its own certificate")
		}
	}
}

func (v *validator) telemetry(p *field.Path, t *TelemetrySpec) {
	if t.OTLPEndpoint != "" {
		v.url(p.Child("otlpEndpoint"), t.OTLPEndpoint)
	}
	if t.SamplingPercent != nil {
		v.between(p.Child("samplingPercent"), int64(*t.SamplingPercent), 0, 100)
	}
	v.enum(p.Child("propagation"), string(t.Propagation), "", "None", "W3C")
	v.enum(p.Child("logLevel"), t.LogLevel, "", "debug", "info", "warn", "error")
}

func (v *validator) reconciliation(p *field.Path, r *ReconciliationSpec) {
	v.schedule(p, r.Schedule, r.TimeZone)
	v.duration(p.Child("window"), r.Window, 2*time.Hour, 32*24*time.Hour,
		"spec.reconciliation.window must be between 2h and 768h (32 days)")
}

func (v *validator) schedule(p *field.Path, schedule, zone string) {
	v.text(p.Child("schedule"), schedule, 128, anyText)
	if schedule != "" && !schedulePattern.MatchString(schedule) {
		v.invalid(p.Child("schedule"), schedule, p.Child("schedule").String()+
			" must be five fields of Cron (minute, hour, day of the month, month, day of the week), such as 0 5 * * *, or a word such as @daily; its zone is "+p.Child("timeZone").String())
	}
	v.text(p.Child("timeZone"), zone, 64, anyText)
	if zone != "" && !timeZonePattern.MatchString(zone) {
		v.invalid(p.Child("timeZone"), zone, p.Child("timeZone").String()+" must be the IANA name of a zone, such as Asia/Shanghai")
	}
}

func (v *validator) retention(p *field.Path, s *BrandConnectorSpec) {
	r := s.Retention
	v.schedule(p, r.Schedule, r.TimeZone)
	v.between(p.Child("olderThan"), int64(r.OlderThan), 400, 36500)
	if s.Ledger.Embedded != nil {
		v.invalid(p, "", "spec.retention needs spec.ledger.postgres: an embedded ledger has one writer, the connector; retire its old redemptions by hand while the connector is stopped")
	}
}
