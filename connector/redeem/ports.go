// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Provider is a vendor as the engine sees it. An implementation holds no state of
// a redemption: planning is pure, and sending makes exactly one HTTP attempt.
type Provider interface {
	Name() string
	// Plan groups the lines routed here into legs. Pure. A *Rejection names the
	// field that keeps the request from being sent.
	Plan(req Request, lines []Line) ([]LegPlan, error)
	// Send makes the leg's call once and classifies what came back. It never
	// retries, and it honours ctx's deadline. guard is consulted right before the
	// first byte of the request leaves: an error from it stops the call as NotSent.
	Send(ctx context.Context, s Sending) Outcome
}

// LegPlan is one leg as a provider plans it; the engine adds number and key.
type LegPlan struct {
	Operation  string
	Lines      []int
	Reversible bool
	Call       json.RawMessage
	MemberRef  string
	Amount     Fen
	Points     int64
	Coupons    []string
}

// Sending is one attempt at a leg.
type Sending struct {
	Leg    Leg
	Action Action
	// Request carries what is not kept: payment token, mobile, names. Zero when
	// the resolver repeats a call.
	Request Request
	// Guard is called right before the first byte: nil means go.
	Guard func() error
}

// LookerUp is a provider that can say what became of a call.
type LookerUp interface {
	// CanLookUp says whether the vendor has a way to be asked about this leg at all.
	// One that cannot be looked up waits for a person, not for a better answer.
	CanLookUp(leg Leg) bool
	// LookUp asks the vendor for the leg's fate, a deduction's or a reversal's (see
	// Leg.Operation). It moves no money, and it honours ctx's deadline.
	LookUp(ctx context.Context, leg Leg) Finding
}

// Finding is the answer of a look-up.
type Finding struct {
	Verdict Verdict
	Outcome Outcome // when Found
	Detail  string  // English, for the event log
}

// Verdict of a look-up.
type Verdict string

const (
	// Found: the vendor executed it; amount and member match.
	Found Verdict = "found"
	// Missing: the vendor does not know it (yet).
	Missing Verdict = "missing"
	// Differs: something is there under this key, but amount or member differ: a
	// person must look.
	Differs Verdict = "differs"
	// Partly: the vendor executed a part of the leg, as it was asked to, and its record
	// cannot show what became of the rest. Nothing there contradicts "executed", and it
	// is evidence against "refused": a person must look.
	Partly Verdict = "partly"
	// Unshown: the vendor answered, and its record cannot show what became of the leg,
	// however often it is asked. Evidence of nothing: a person must look.
	Unshown Verdict = "unshown"
	// Inconclusive: the look-up itself failed.
	Inconclusive Verdict = "inconclusive"
)

// Repeater is a provider whose deduction may be repeated under the same key.
type Repeater interface {
	// Repeat makes the very same call again, same key; s.Action tells a deduction
	// from a reversal. Its Refused is a verdict on the key: the vendor looked at it
	// and says that nothing was, nor will be, done under it. A refusal of this one
	// call (signature, permission, call limit) and a "duplicate order" say nothing of
	// the first call: they are Unknown.
	Repeat(ctx context.Context, s Sending) Outcome
}

// Reverser is a provider that can undo a leg.
type Reverser interface {
	// PlanReversal plans the leg that undoes amount/count of the executed leg. A
	// *Rejection says why it cannot (for example no reversal action configured).
	PlanReversal(req Request, original Leg, lines []Line) (LegPlan, error)
	// Reverse makes the reversal's call once.
	Reverse(ctx context.Context, s Sending) Outcome
}

// Rejection is a request that was refused before anything was sent or recorded.
type Rejection struct {
	SubCode string // our documented sub code
	Field   string // the JSON path at fault, "" when none
	Cashier string // Chinese, says the next step
	Detail  string // English
	// Retryable: our own fault or a full house; the same request may succeed later.
	Retryable bool
}

// Error renders the English text.
func (r *Rejection) Error() string {
	if r.Field == "" {
		return r.Detail
	}
	return r.Field + ": " + r.Detail
}

// Errors of a Ledger.
var (
	ErrNotFound = errors.New("no such redemption")
	// ErrFenced: the state or the epoch is not what the writer believed. Re-read.
	// Also: an answer for a redemption that has one, or for one whose legs are not
	// all final.
	ErrFenced = errors.New("the leg was changed by someone else")
	// ErrOverReversed: more would be reversed than was redeemed.
	ErrOverReversed = errors.New("more than was redeemed")
	// ErrReversalPending: a leg of the redemption to undo is in StateSent,
	// StateUnknown or StateNotSent. Whether it has an answer does not matter: a
	// redemption that compensates itself is answered after its reversal.
	ErrReversalPending = errors.New("the redemption to reverse is not known yet")
	// ErrCommitUnclear: a commit's own outcome is not known; re-read by key. Any
	// other error of Record or Apply promises that nothing was written.
	ErrCommitUnclear = errors.New("the commit's outcome is not known")
	// ErrRetired: the key was used, and retention took the redemption away. Record
	// wraps it for such a key and returns what the tombstone kept (Key, FlowID,
	// Fingerprint, CreatedAt, ConcludedAt): nothing may be sent. Get and ByFlowID wrap it
	// beside ErrNotFound.
	ErrRetired = errors.New("the redemption is retired")
)

// Ledger is the durable memory of the engine. Each method that writes is one
// durable commit: when it returns nil the change survives a crash of the machine.
type Ledger interface {
	// Record stores r with its legs as given, in StateSent (epoch 1, leased to
	// Leg.LeaseOwner until Leg.LeaseUntil, NextCheck as given) unless its key
	// exists; then nothing is written and the stored redemption is returned with
	// created=false. For a reversal (ReversesBizID) it also reserves each line's
	// Amount and Count on the original's line with the same AssetMappingID and
	// AssetID, or fails with ErrOverReversed (Reversed+Amount > Result.Total where
	// the asset is StoredValue, ReversedCount+Count > Count elsewhere, or the line
	// was not executed), ErrReversalPending or ErrNotFound.
	Record(ctx context.Context, r Redemption) (stored Redemption, created bool, err error)
	Get(ctx context.Context, key Key) (Redemption, error)
	// ByFlowID finds a redemption by our own flow id.
	ByFlowID(ctx context.Context, brandID, flowID string) (Redemption, error)
	// Search finds redemptions, newest first, at most limit.
	Search(ctx context.Context, q Query, limit int) ([]Redemption, error)
	// Apply makes all changes of c or none: each is guarded by From and Epoch, and
	// an answer by the redemption having none and its legs being all final.
	// It returns the redemption as it is now.
	Apply(ctx context.Context, c Change) (Redemption, error)
	// Lease takes up to n legs of the brand that are due: StateUnknown with
	// NextCheck ≤ now, or StateSent whose lease ran out, or StateNotSent whose
	// NextCheck ≤ now. Each gets owner, until and a raised epoch; a leg in
	// StateSent becomes StateUnknown. NextCheck is kept as it is (never cleared), and
	// a leg whose lease has an owner and is not over is not given out.
	Lease(ctx context.Context, brandID, owner string, now, until time.Time, n int) ([]Leased, error)
	// InDoubt summarises what is unknown, by provider.
	InDoubt(ctx context.Context, brandID string) ([]Doubt, error)
	// Events of one redemption, oldest first.
	Events(ctx context.Context, key Key) ([]Event, error)
	// Ping fails when the ledger cannot commit now.
	Ping(ctx context.Context) error
	Close() error
}

// Query selects redemptions; empty fields match everything.
type Query struct {
	BrandID, BizID, TransOrderNo, PaymentNo, TraceID, FlowID string
	Action                                                   Action
	// State, when not empty, keeps redemptions with a leg in it.
	State State
	// Unanswered keeps redemptions without an answer (an index keeps it cheap).
	Unanswered bool
	From, To   time.Time // of CreatedAt, half open
}

// Leased is a leg that the resolver holds.
type Leased struct {
	Redemption Redemption
	LegNo      int
}

// Doubt is the in-doubt summary of a provider.
type Doubt struct {
	Provider string
	Count    int64
	Manual   int64 // of these, waiting for a person
	Oldest   time.Time
}

// Change is one durable commit on a redemption.
type Change struct {
	Key   Key
	At    time.Time
	Actor string // "engine", "resolver", or the person's name
	Legs  []LegChange
	// Lines replaces the results of these lines, by No. Result.Reversed and
	// ReversedCount are not touched: they belong to Record and ReleaseReversal.
	Lines []Line
	// Answer concludes the redemption with these bytes, nil leaves it open.
	Answer []byte
	// MemberName, when not empty, is kept for the replies.
	MemberName string
	// Contradiction raises the alarm.
	Contradiction bool
	// ReleaseReversal gives the reserved amounts back to the original's lines, for
	// those of Lines whose Result.Kind is Refused (a reversal that was refused).
	ReleaseReversal bool
	// Events to append, beside the one that each leg change appends by itself.
	Events []Event
}

// LegChange moves one leg along a legal edge, or updates it in place when To is
// empty (evidence, next check). NextCheck, Checks, NotFound, LeaseOwner and
// LeaseUntil are stored as given, their zero values too: a change that names no
// owner gives the lease back. A nil Outcome keeps the one that is there.
// SentAt, UnknownAt and ResolvedAt follow from To and Change.At.
type LegChange struct {
	No         int
	From       State
	Epoch      int64
	To         State
	Outcome    *Outcome
	NextCheck  time.Time
	Checks     int
	NotFound   int
	LeaseOwner string
	LeaseUntil time.Time
	NewEpoch   int64 // 0 keeps Epoch
	Reason     string
}

// Event is one row of the append-only, hash-chained log.
type Event struct {
	Seq      int64
	At       time.Time
	Key      Key
	LegNo    int // -1 for the redemption itself
	Actor    string
	Kind     string // "recorded", "state", "evidence", "decision", "alarm", "answer"
	From, To State
	Detail   json.RawMessage // never personal, never secret
	PrevHash []byte
	Hash     []byte
}
