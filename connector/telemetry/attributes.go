// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Attributes of metrics, and of spans too. Each has few values.
const (
	AttrAction    = attribute.Key("hexiao.action")
	AttrBackend   = attribute.Key("hexiao.ledger.backend")
	AttrBrandID   = attribute.Key("hexiao.brand.id")
	AttrCode      = attribute.Key("hexiao.code")
	AttrKind      = attribute.Key("hexiao.kind")
	AttrLimiter   = attribute.Key("hexiao.limiter")
	AttrOperation = attribute.Key("hexiao.operation")
	AttrOutcome   = attribute.Key("hexiao.outcome")
	AttrProvider  = attribute.Key("hexiao.provider")
	AttrResult    = attribute.Key("hexiao.result")
	AttrSignal    = attribute.Key("hexiao.signal")
	AttrSPI       = attribute.Key("hexiao.spi")
	AttrStrategy  = attribute.Key("hexiao.strategy")
	AttrSubCode   = attribute.Key("hexiao.sub_code")
)

// Attributes of spans and log lines only: each request has its own, so none may label a metric.
const (
	AttrBizID  = attribute.Key("hexiao.biz_id")
	AttrFlowID = attribute.Key("hexiao.flow_id")
	AttrLeg    = attribute.Key("hexiao.leg")
	AttrLink   = attribute.Key("hexiao.link") // on a span link: why the other span is named
	AttrShopID = attribute.Key("hexiao.shop.id")
)

// meaning says what an attribute of a metric holds; the metric reference prints it.
var meaning = map[attribute.Key]string{
	AttrAction:    "`VERIFY` or `REVERSE_VERIFY`",
	AttrBackend:   "`postgres` or `sqlite`",
	AttrCode:      "code of the reply's envelope: `0`, `3000`, `3001`",
	AttrKind:      "outcome kind: `executed`, `refused`, `not-sent`, `unknown`",
	AttrLimiter:   "the provider whose limit it was: `zhimai` or `alsc`",
	AttrOperation: "the vendor's method, or the ledger's commit: `record`, `settle`, …",
	AttrOutcome:   "of a redemption: `executed`, `refused`, `partial`, `unknown`, `rejected` (nothing was sent); of a resolution: `executed`, `refused`",
	AttrProvider:  "`zhimai` or `alsc`",
	AttrResult:    "of an attempt: `executed`, `refused`, `unknown`, `error`",
	AttrSignal:    "`traces` or `metrics`",
	AttrSPI:       "the SPI: `verify`, …",
	AttrStrategy:  "the provider's in-doubt strategy, as in `spec.providers.*.inDoubt`",
	AttrSubCode:   "subCode of the reply, from the documented list",

	semconv.HTTPRequestMethodKey: "of HTTP; `_OTHER` for what is none",
	semconv.HTTPRouteKey:         "the SPI's path, such as `/keruyun/{brand}/member-assets/verify`; absent for other paths",
	semconv.HTTPResponseStatusCodeKey: "`200` where a reply was made, whatever it says. Where the call was turned away: `400` for public parameters that are malformed " +
		"or a body that broke off, `401` for a wrong signature or time stamp, `404` for another path or brand, `405` for a method other than POST, `413` for a body that is too long, " +
		"`415` for one that is not JSON in UTF-8, `503` while too many requests are served at once or the connector stops",
}
