// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/connector/alsc"
	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/telemetry"
	"github.com/hexiao-dev/hexiao/connector/zhimai"
)

// vendor is everything that a provider can do.
type vendor interface {
	redeem.Provider
	redeem.LookerUp
	redeem.Repeater
	redeem.Reverser
	redeem.MemberReader
}

// surroundings are what the vendors share.
type surroundings struct {
	http   oneshot.Doer
	traces trace.TracerProvider
	log    *slog.Logger
	meter  *telemetry.Metrics
}

// vendors makes the clients of the providers that the brand configures.
func vendors(b *brand.Brand, s surroundings) (map[string]redeem.Provider, error) {
	out := map[string]redeem.Provider{}
	if b.Object.Spec.Providers.Zhimai != nil {
		client, err := zhimai.New(zhimaiConfig(b), zhimai.Deps{HTTP: s.http, TracerProvider: s.traces, Logger: s.log})
		if err != nil {
			return nil, err
		}
		out[zhimai.Name] = timed{client, s.meter}
	}
	if b.Object.Spec.Providers.Alsc != nil {
		cfg, err := alscConfig(b)
		if err != nil {
			return nil, err
		}
		client, err := alsc.New(cfg, alsc.Deps{HTTP: s.http, TracerProvider: s.traces, Logger: s.log})
		if err != nil {
			return nil, err
		}
		out[alsc.Name] = timed{client, s.meter}
	}
	return out, nil
}

func zhimaiConfig(b *brand.Brand) zhimai.Config {
	z := b.Object.Spec.Providers.Zhimai
	shops := map[string]string{}
	for id, shop := range b.Shops {
		if shop.Zhimai != nil {
			shops[id] = shop.Zhimai.MultiMark
		}
	}
	operators := map[string]zhimai.Operator{}
	for _, o := range b.Object.Spec.Operators {
		if o.Zhimai != nil {
			operators[o.KryOperatorID] = zhimai.Operator{ID: *o.Zhimai.OperatorID, Name: o.Zhimai.OperatorName}
		}
	}
	cfg := zhimai.Config{
		Endpoint: z.Endpoint,
		Credentials: zhimai.Credentials{
			OpenID: b.Zhimai.OpenID, OpenKey: b.Zhimai.OpenKey.Reveal(), GrantCode: b.Zhimai.GrantCode.Reveal(),
		},
		TokenKeys:           zhimai.LowerCamel,
		Shops:               shops,
		Operators:           operators,
		ReversalAction:      z.ReversalAction,
		RateLimitCodes:      z.RateLimitCodes,
		NotExecutedCodes:    z.RefusedCodes,
		TrustRepeatRefusals: z.RepeatRefusals == v1alpha1.RepeatRefusalsFinal,
		ChangeAmountsInFen:  z.ChangeAmountUnit == v1alpha1.ZhimaiAmountUnitFen,
		Options: zhimai.Options{
			CouponsAreScanCodes: z.CouponCodes == v1alpha1.ZhimaiCouponCodesScanCode,
			CouponsAsNumbers:    z.CouponIDs == v1alpha1.ZhimaiCouponIDsNumber,
			SendEmpty:           z.EmptyFields == v1alpha1.ZhimaiEmptyFieldsSend,
			ForwardPaymentToken: z.PaymentToken == v1alpha1.ZhimaiPaymentTokenPayPassword,
		},
	}
	if z.SignatureKeys == v1alpha1.ZhimaiSignatureKeysCapitalized {
		cfg.TokenKeys = zhimai.Capitalized
	}
	if c := z.Consume; c != nil {
		o := &cfg.Options
		o.Channel, o.AppType, o.DeviceSN, o.IP = c.Channel, c.AppType, c.DeviceSN, c.IP
		o.GroupID, o.OpType, o.OperatorID, o.OperatorName = c.GroupID, c.OpType, c.OperatorID, c.OperatorName
		o.ProductName, o.Reason, o.Remark, o.UsePassword = c.ProductName, c.Reason, c.Remark, c.UsePassword
	}
	return cfg
}

func alscConfig(b *brand.Brand) (alsc.Config, error) {
	a := b.Object.Spec.Providers.Alsc
	shops := map[string]alsc.Shop{}
	for id, shop := range b.Shops {
		if shop.Alsc != nil {
			shops[id] = alsc.Shop{ID: shop.Alsc.ShopID}
		}
	}
	operators := map[string]string{}
	for _, o := range b.Object.Spec.Operators {
		if o.Alsc != nil {
			operators[o.KryOperatorID] = o.Alsc.OperatorID
		}
	}
	cfg := alsc.Config{
		Endpoint: a.Endpoint,
		Credentials: alsc.Credentials{
			AppKey: b.Alsc.AppKey, AppSecret: b.Alsc.AppSecret.Reveal(), Session: b.Alsc.Session.Reveal(),
		},
		SignMethod:          alsc.SignMethod(a.SignMethod),
		Simplify:            a.Simplify,
		BrandID:             a.BrandID,
		Shops:               shops,
		BizChannel:          a.BizChannel,
		OperatorID:          a.OperatorID,
		Operators:           operators,
		Account:             alsc.Account(a.Account),
		ChipCardIsCardID:    a.ChipCard == v1alpha1.AlscChipCardCardID,
		Remark:              a.Remark,
		TrustRepeatRefusals: a.RepeatRefusals == v1alpha1.RepeatRefusalsFinal,
		NotFoundCodes:       a.NotFoundCodes,
	}
	if len(a.ExtInfo) > 0 {
		raw, err := json.Marshal(a.ExtInfo)
		if err != nil {
			return alsc.Config{}, fmt.Errorf("providers.alsc.extInfo: %w", err)
		}
		cfg.ExtInfo = string(raw)
	}
	return cfg, nil
}

// timed records how long each call of a vendor took.
type timed struct {
	vendor
	meter *telemetry.Metrics
}

func (t timed) Send(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return t.call(ctx, s, t.vendor.Send)
}

func (t timed) Repeat(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return t.call(ctx, s, t.vendor.Repeat)
}

func (t timed) Reverse(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return t.call(ctx, s, t.vendor.Reverse)
}

func (t timed) call(ctx context.Context, s redeem.Sending, do func(context.Context, redeem.Sending) redeem.Outcome) redeem.Outcome {
	start := time.Now()
	out := do(ctx, s)
	t.meter.VendorCall(ctx, telemetry.VendorCall{
		Provider: t.Name(), Operation: s.Leg.Operation, Kind: string(out.Kind), Took: time.Since(start),
	})
	return out
}
