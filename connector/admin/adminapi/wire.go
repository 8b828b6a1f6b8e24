// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"
)

// Prefix is where the API begins.
const Prefix = "/admin/v1"

// The paths under Prefix.
const (
	InDoubtPath     = "/in-doubt"
	RedemptionsPath = "/redemptions"
	ReversalsPath   = "/reversals"
)

// RedemptionPath is where a redemption is; action is VERIFY or REVERSE_VERIFY.
func RedemptionPath(action, bizID string) string {
	return RedemptionsPath + "/" + url.PathEscape(action) + "/" + url.PathEscape(bizID)
}

// LookUpPath asks the vendor about a redemption's legs.
func LookUpPath(action, bizID string) string { return RedemptionPath(action, bizID) + "/look-up" }

// RetryPath makes a redemption's open legs due now.
func RetryPath(action, bizID string) string { return RedemptionPath(action, bizID) + "/retry" }

// ResolvePath takes a person's decision on a leg.
func ResolvePath(action, bizID string, leg int) string {
	return RedemptionPath(action, bizID) + "/legs/" + strconv.Itoa(leg) + "/resolve"
}

// RetryReversalPath makes a reversal's open legs due now.
func RetryReversalPath(bizID string) string {
	return ReversalsPath + "/" + url.PathEscape(bizID) + "/retry"
}

// What an open leg waits for.
const (
	WaitsForPerson = "person" // nobody but a person can tell: decide
	WaitsForCheck  = "check"  // the resolver asks or repeats at nextCheck
	WaitsForCall   = "call"   // it is under way: the vendor may answer until nextCheck, when the look-up begins
	WaitsForLease  = "lease"  // a process holds it, or died holding it
)

// InDoubtList is the answer of GET /in-doubt: oldest doubt first.
type InDoubtList struct {
	BrandID string    `json:"brandId"`
	At      time.Time `json:"at"`
	Items   []Doubt   `json:"items"`
	// Truncated: there are more than were asked for.
	Truncated bool `json:"truncated,omitempty"`
}

// Doubt is one leg of which nobody knows whether it was executed. One in state sent is
// under way still, and its till has heard that it is not known yet.
type Doubt struct {
	Action        string     `json:"action"`
	BizID         string     `json:"bizId"`
	Leg           int        `json:"leg"`
	Provider      string     `json:"provider"`
	Operation     string     `json:"operation"`
	Key           string     `json:"key"`
	OrderNo       string     `json:"orderNo"`
	PaymentNo     string     `json:"paymentNo"`
	ShopID        string     `json:"shopId,omitempty"`
	AmountFen     int64      `json:"amountFen"`
	Points        int64      `json:"points,omitempty"`
	Coupons       []string   `json:"coupons,omitempty"`
	State         string     `json:"state"`
	Class         string     `json:"class,omitempty"`
	Since         time.Time  `json:"since"`
	Checks        int        `json:"checks"`
	NextCheck     *time.Time `json:"nextCheck,omitempty"`
	Strategy      string     `json:"strategy"`
	WaitsFor      string     `json:"waitsFor"`
	ReversesBizID string     `json:"reversesBizId,omitempty"`
	TraceID       string     `json:"traceId,omitempty"`
}

// Redemption is everything known of one verify or reverse request.
type Redemption struct {
	BrandID         string     `json:"brandId"`
	Action          string     `json:"action"`
	BizID           string     `json:"bizId"`
	FlowID          string     `json:"flowId"`
	ShopID          string     `json:"shopId,omitempty"`
	OrderNo         string     `json:"orderNo"`
	PaymentNo       string     `json:"paymentNo"`
	RefundPaymentNo string     `json:"refundPaymentNo,omitempty"`
	ReversesBizID   string     `json:"reversesBizId,omitempty"`
	TraceID         string     `json:"traceId,omitempty"`
	Outcome         string     `json:"outcome"` // executed, refused, partial or unknown
	SubCode         string     `json:"subCode,omitempty"`
	Contradiction   bool       `json:"contradiction,omitempty"`
	CreatedAt       time.Time  `json:"createdAt"`
	ConcludedAt     *time.Time `json:"concludedAt,omitempty"`
	ConfigRevision  string     `json:"configRevision,omitempty"`
	// ConnectorVersion is the program that recorded it.
	ConnectorVersion string     `json:"connectorVersion,omitempty"`
	Lines            []Line     `json:"lines"`
	Legs             []Leg      `json:"legs"`
	Reversals        []Reversal `json:"reversals,omitempty"`
	Events           []Event    `json:"events"`
}

// Line is one asset of the request and what became of it.
type Line struct {
	No             int    `json:"no"`
	AssetMappingID string `json:"assetMappingId"`
	AssetID        string `json:"assetId,omitempty"`
	Asset          string `json:"asset"`
	AmountFen      int64  `json:"amountFen"`
	Count          int64  `json:"count"`
	Result         string `json:"result,omitempty"` // executed or refused
	Code           string `json:"code,omitempty"`
	TotalFen       int64  `json:"totalFen"`
	ReversedFen    int64  `json:"reversedFen"`
	ReversedCount  int64  `json:"reversedCount"`
}

// Leg is one vendor call: what was sent and what is known of it.
type Leg struct {
	No        int             `json:"no"`
	Provider  string          `json:"provider"`
	Operation string          `json:"operation"`
	Key       string          `json:"key"`
	Member    string          `json:"member,omitempty"`
	AmountFen int64           `json:"amountFen"`
	Points    int64           `json:"points,omitempty"`
	Coupons   []string        `json:"coupons,omitempty"`
	Lines     []int           `json:"lines"`
	Call      json.RawMessage `json:"call,omitempty"`

	State string `json:"state"`
	// Version changes with every change that a decision must not pass over; give it
	// back as Decision.Version.
	Version    int64      `json:"version"`
	Strategy   string     `json:"strategy"`
	CanAsk     bool       `json:"canAsk"`
	WaitsFor   string     `json:"waitsFor,omitempty"`
	SentAt     *time.Time `json:"sentAt,omitempty"`
	UnknownAt  *time.Time `json:"unknownAt,omitempty"`
	ResolvedAt *time.Time `json:"resolvedAt,omitempty"`
	Checks     int        `json:"checks"`
	NextCheck  *time.Time `json:"nextCheck,omitempty"`
	// RefusableFrom is when a person may decide refused without force; absent: now.
	RefusableFrom *time.Time `json:"refusableFrom,omitempty"`
	Answer        *Answer    `json:"answer,omitempty"`
}

// Answer is the classified answer of a vendor.
type Answer struct {
	Kind       string `json:"kind"`
	Class      string `json:"class,omitempty"`
	Code       string `json:"code,omitempty"`
	Detail     string `json:"detail,omitempty"`
	FlowID     string `json:"flowId,omitempty"`
	HTTPStatus int    `json:"httpStatus,omitempty"`
	TotalFen   int64  `json:"totalFen"`
}

// Event is a row of the append-only log.
type Event struct {
	Seq    int64           `json:"seq"`
	At     time.Time       `json:"at"`
	Leg    *int            `json:"leg,omitempty"` // absent: the redemption itself
	Actor  string          `json:"actor"`
	Kind   string          `json:"kind"`
	From   string          `json:"from,omitempty"`
	To     string          `json:"to,omitempty"`
	Detail json.RawMessage `json:"detail,omitempty"`
}

// ReversalList is the answer of GET /reversals: oldest first.
type ReversalList struct {
	BrandID   string     `json:"brandId"`
	At        time.Time  `json:"at"`
	Items     []Reversal `json:"items"`
	Truncated bool       `json:"truncated,omitempty"`
}

// Reversal is a reversal in short.
type Reversal struct {
	BizID         string     `json:"bizId"`
	ReversesBizID string     `json:"reversesBizId"`
	OrderNo       string     `json:"orderNo"`
	PaymentNo     string     `json:"paymentNo"`
	AmountFen     int64      `json:"amountFen"`
	Points        int64      `json:"points,omitempty"`
	Coupons       []string   `json:"coupons,omitempty"`
	Outcome       string     `json:"outcome"`
	CreatedAt     time.Time  `json:"createdAt"`
	ConcludedAt   *time.Time `json:"concludedAt,omitempty"`
	// Legs of the reversal that are open.
	Open []OpenLeg `json:"open,omitempty"`
}

// OpenLeg is a leg of a reversal that is not final.
type OpenLeg struct {
	No        int        `json:"no"`
	Provider  string     `json:"provider"`
	Operation string     `json:"operation"`
	State     string     `json:"state"`
	Class     string     `json:"class,omitempty"`
	Checks    int        `json:"checks"`
	NextCheck *time.Time `json:"nextCheck,omitempty"`
	WaitsFor  string     `json:"waitsFor"`
}

// Person is the body of look-up and retry.
type Person struct {
	// Who asks: the account's name.
	Who string `json:"who"`
	// Leg to ask about; absent: all that can be asked about.
	Leg *int `json:"leg,omitempty"`
}

// Findings is the answer of a look-up.
type Findings struct {
	Items []Finding `json:"items"`
}

// Finding is what a vendor said of a leg.
type Finding struct {
	Leg     int       `json:"leg"`
	At      time.Time `json:"at"`
	Verdict string    `json:"verdict"` // found, missing, differs, partly, unshown, inconclusive, or cannot-ask
	Detail  string    `json:"detail,omitempty"`
	Answer  *Answer   `json:"answer,omitempty"` // when found
	// Alarm: the vendor has what was concluded as refused.
	Alarm bool `json:"alarm,omitempty"`
}

// The decisions.
const (
	Executed = "executed"
	Refused  = "refused"
)

// Decision is the body of resolve.
type Decision struct {
	Decision string `json:"decision"` // executed or refused
	Reason   string `json:"reason"`
	Who      string `json:"who"`
	// Version of the leg that the person looked at; absent: as it is now.
	Version *int64 `json:"version,omitempty"`
	// Force takes the decision although evidence says otherwise, and a refusal
	// although it comes too early.
	Force bool `json:"force,omitempty"`
}

// Resolved is the answer of resolve.
type Resolved struct {
	Decision string `json:"decision"`
	Who      string `json:"who"`
	Reason   string `json:"reason"`
	// Overruled is what was forced aside: evidence, or that it was too early.
	Overruled  string     `json:"overruled,omitempty"`
	Redemption Redemption `json:"redemption"`
}

// Retried is the answer of retry: the legs that are due now.
type Retried struct {
	Legs       []int      `json:"legs"`
	Redemption Redemption `json:"redemption"`
}

// The codes of an Error.
const (
	CodeInvalid  = "invalid"     // 400: a field is wrong
	CodeLocal    = "not-local"   // 403: not by way of the loopback interface
	CodeNotFound = "not-found"   // 404
	CodeChanged  = "changed"     // 409: the state has changed; look again
	CodeDecided  = "not-open"    // 409: the leg cannot be decided on or retried
	CodeEvidence = "evidence"    // 409: evidence says otherwise; force overrules it
	CodeEarly    = "too-early"   // 409: a vendor may still book it: not refused yet; force overrules it
	CodeCannot   = "by-hand"     // 409: no machine can do it
	CodeStarting = "unavailable" // 503: starting, or draining
	CodeInternal = "internal"    // 500
)

// Error is the body of every answer that is not 200.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

// Error renders field, message and remedy.
func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Remedy != "" {
		text += ": " + e.Remedy
	}
	return text
}
