// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// The types below are the shape of JSON and YAML. Names follow Keruyun's fields where there is one. A name is never reused for something else.
type (
	answerObject struct {
		Redemptions []redemptionObject `json:"redemptions"`
		Retired     []retiredObject    `json:"retired,omitempty"`
		Totals      totalsObject       `json:"totals"`
		// More: the limit cut the search off.
		More bool `json:"more,omitempty"`
	}
	redemptionObject struct {
		Action           redeem.Action      `json:"action"`
		KryBrandID       string             `json:"kryBrandId"`
		BizID            string             `json:"bizId"`
		ReversesBizID    string             `json:"reversesBizId,omitempty"`
		Conclusion       Word               `json:"conclusion"`
		WaitsForPerson   bool               `json:"waitsForPerson"`
		Contradiction    bool               `json:"contradiction"`
		FlowID           string             `json:"flowId"`
		TraceID          string             `json:"traceId,omitempty"`
		KryShopID        string             `json:"kryShopId,omitempty"`
		KryTransOrderNo  string             `json:"kryTransOrderNo,omitempty"`
		KryPaymentNo     string             `json:"kryPaymentNo,omitempty"`
		KryRefundNo      string             `json:"kryRefundPaymentNo,omitempty"`
		KryMemberID      string             `json:"kryMemberId,omitempty"`
		ThirdMemberID    string             `json:"thirdMemberId,omitempty"`
		RequestID        string             `json:"requestId,omitempty"`
		OperatorID       string             `json:"operatorId,omitempty"`
		CreatedAt        *time.Time         `json:"createdAt"`
		ConcludedAt      *time.Time         `json:"concludedAt,omitempty"`
		ConfigRevision   string             `json:"configRevision,omitempty"`
		ConnectorVersion string             `json:"connectorVersion,omitempty"`
		Lines            []lineObject       `json:"lines"`
		Legs             []legObject        `json:"legs"`
		Events           []eventObject      `json:"events,omitempty"`
		Reversals        []redemptionObject `json:"reversals,omitempty"`
	}
	lineObject struct {
		No             int          `json:"no"`
		AssetMappingID string       `json:"assetMappingId"`
		AssetID        string       `json:"assetId,omitempty"`
		Asset          redeem.Asset `json:"asset"`
		Provider       string       `json:"provider"`
		AmountFen      redeem.Fen   `json:"amountFen"`
		AmountYuan     string       `json:"amountYuan"`
		Count          int64        `json:"count"`
		Status         string       `json:"status"`
		Code           string       `json:"code,omitempty"`
		Cashier        string       `json:"cashier,omitempty"`
		TotalFen       redeem.Fen   `json:"totalFen"`
		TotalYuan      string       `json:"totalYuan"`
		RealFen        redeem.Fen   `json:"realFen"`
		GiftFen        redeem.Fen   `json:"giftFen"`
		ReversedFen    redeem.Fen   `json:"reversedFen"`
		ReversedCount  int64        `json:"reversedCount"`
	}
	legObject struct {
		No             int          `json:"no"`
		Provider       string       `json:"provider"`
		Operation      string       `json:"operation"`
		UpstreamKey    string       `json:"upstreamKey"`
		Lines          []int        `json:"lines"`
		State          redeem.State `json:"state"`
		Kind           redeem.Kind  `json:"kind,omitempty"`
		Class          redeem.Class `json:"class,omitempty"`
		Code           string       `json:"code,omitempty"`
		Detail         string       `json:"detail,omitempty"`
		HTTPStatus     int          `json:"httpStatus,omitempty"`
		VendorFlowID   string       `json:"vendorFlowId,omitempty"`
		AmountFen      redeem.Fen   `json:"amountFen"`
		AmountYuan     string       `json:"amountYuan"`
		Points         int64        `json:"points"`
		Coupons        []string     `json:"coupons,omitempty"`
		Epoch          int64        `json:"epoch"`
		LeaseOwner     string       `json:"leaseOwner,omitempty"`
		LeaseUntil     *time.Time   `json:"leaseUntil,omitempty"`
		Checks         int          `json:"checks"`
		NotFound       int          `json:"notFound"`
		NextCheck      *time.Time   `json:"nextCheck,omitempty"`
		WaitsForPerson bool         `json:"waitsForPerson"`
		SentAt         *time.Time   `json:"sentAt,omitempty"`
		UnknownAt      *time.Time   `json:"unknownAt,omitempty"`
		ResolvedAt     *time.Time   `json:"resolvedAt,omitempty"`
	}
	eventObject struct {
		Seq    int64           `json:"seq"`
		At     *time.Time      `json:"at"`
		LegNo  *int            `json:"legNo,omitempty"` // absent: the redemption itself
		Actor  string          `json:"actor"`
		Kind   string          `json:"kind"`
		From   redeem.State    `json:"from,omitempty"`
		To     redeem.State    `json:"to,omitempty"`
		Detail json.RawMessage `json:"detail,omitempty"`
		Hash   string          `json:"hash"`
	}
	retiredObject struct {
		Action      redeem.Action `json:"action"`
		KryBrandID  string        `json:"kryBrandId"`
		BizID       string        `json:"bizId"`
		FlowID      string        `json:"flowId"`
		Outcome     string        `json:"outcome"`
		CreatedAt   *time.Time    `json:"createdAt"`
		ConcludedAt *time.Time    `json:"concludedAt"`
		RetiredAt   *time.Time    `json:"retiredAt"`
	}
	totalsObject struct {
		Redemptions int        `json:"redemptions"`
		Reversals   int        `json:"reversals"`
		Redeemed    Sum        `json:"redeemed"`
		GivenBack   Sum        `json:"givenBack"`
		Net         Sum        `json:"net"`
		InDoubt     Sum        `json:"inDoubt"`
		InDoubtBack Sum        `json:"inDoubtBack"`
		Repeated    []Repeated `json:"repeated,omitempty"`
	}
)

// JSON renders the answer for programs.
func JSON(w io.Writer, a Answer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(objects(a))
}

// YAML renders what JSON renders.
func YAML(w io.Writer, a Answer) error {
	out, err := yaml.Marshal(objects(a))
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

func objects(a Answer) answerObject {
	t := Tally(a.Entries)
	o := answerObject{
		Redemptions: []redemptionObject{}, More: a.More,
		Totals: totalsObject(t),
	}
	for i := range a.Entries {
		e := &a.Entries[i]
		r := redemption(&e.Redemption)
		for j := range e.Events {
			r.Events = append(r.Events, eventOf(&e.Events[j]))
		}
		for j := range e.Reversals {
			r.Reversals = append(r.Reversals, redemption(&e.Reversals[j]))
		}
		o.Redemptions = append(o.Redemptions, r)
	}
	for _, t := range a.Tombstones {
		o.Retired = append(o.Retired, retiredObject{t.Key.Action, t.Key.BrandID, t.Key.BizID, t.FlowID, t.Outcome, moment(t.CreatedAt), moment(t.ConcludedAt), moment(t.RetiredAt)})
	}
	return o
}

func redemption(r *redeem.Redemption) redemptionObject {
	c := Conclude(r)
	o := redemptionObject{
		Action: r.Action, KryBrandID: r.BrandID, BizID: r.BizID, ReversesBizID: r.ReversesBizID, Conclusion: c.Word, WaitsForPerson: c.Person,
		Contradiction: r.Contradiction, FlowID: r.FlowID, TraceID: r.TraceID, KryShopID: r.ShopID, KryTransOrderNo: r.TransOrderNo, KryPaymentNo: r.PaymentNo,
		KryRefundNo: r.RefundPaymentNo, KryMemberID: r.KryMemberID, ThirdMemberID: r.MemberID, RequestID: r.RequestID, OperatorID: r.OperatorID,
		CreatedAt: moment(r.CreatedAt), ConcludedAt: moment(r.ConcludedAt), ConfigRevision: r.ConfigRevision, ConnectorVersion: r.ConnectorVersion,
	}
	for i := range r.Lines {
		l := &r.Lines[i]
		o.Lines = append(o.Lines, lineObject{
			No: l.No, AssetMappingID: l.AssetMappingID, AssetID: l.AssetID, Asset: l.Asset, Provider: l.Provider, AmountFen: l.Amount, AmountYuan: l.Amount.Yuan(),
			Count: l.Count, Status: lineStatus(r, l), Code: l.Result.Code, Cashier: l.Result.Cashier, TotalFen: l.Result.Total, TotalYuan: l.Result.Total.Yuan(),
			RealFen: l.Result.Real, GiftFen: l.Result.Gift, ReversedFen: l.Result.Reversed, ReversedCount: l.Result.ReversedCount,
		})
	}
	for i := range r.Legs {
		g := &r.Legs[i]
		o.Legs = append(o.Legs, legObject{
			No: g.No, Provider: g.Provider, Operation: g.Operation, UpstreamKey: g.Key, Lines: g.Lines, State: g.State, Kind: g.Outcome.Kind, Class: g.Outcome.Class,
			Code: g.Outcome.Code, Detail: g.Outcome.Detail, HTTPStatus: g.Outcome.HTTPStatus, VendorFlowID: g.Outcome.FlowID, AmountFen: g.Amount,
			AmountYuan: g.Amount.Yuan(), Points: g.Points, Coupons: g.Coupons, Epoch: g.Epoch, LeaseOwner: g.LeaseOwner, LeaseUntil: moment(g.LeaseUntil),
			Checks: g.Checks, NotFound: g.NotFound, NextCheck: moment(g.NextCheck), WaitsForPerson: forPerson(*g), SentAt: moment(g.SentAt),
			UnknownAt: moment(g.UnknownAt), ResolvedAt: moment(g.ResolvedAt),
		})
	}
	return o
}

func eventOf(e *redeem.Event) eventObject {
	o := eventObject{Seq: e.Seq, At: moment(e.At), Actor: e.Actor, Kind: e.Kind, From: e.From, To: e.To, Detail: e.Detail, Hash: hex.EncodeToString(e.Hash)}
	if e.LegNo >= 0 {
		o.LegNo = &e.LegNo
	}
	return o
}

// moment is nil for no time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}
