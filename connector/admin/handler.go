// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Engine is what a person may make the redemption engine do.
type Engine interface {
	Prospect(redeem.Leg) redeem.Prospect
	RefusableFrom(r redeem.Redemption, leg int, events []redeem.Event) time.Time
	Consult(ctx context.Context, key redeem.Key, leg int, who string) (redeem.Consultation, error)
	DecideOn(ctx context.Context, seen redeem.Redemption, d redeem.Decision, over *redeem.Overruling) (redeem.Redemption, error)
	Retry(ctx context.Context, key redeem.Key, who string) (redeem.Redemption, []int, error)
}

// Ledger is what is read of the ledger.
type Ledger interface {
	Get(context.Context, redeem.Key) (redeem.Redemption, error)
	Search(ctx context.Context, q redeem.Query, limit int) ([]redeem.Redemption, error)
	Events(context.Context, redeem.Key) ([]redeem.Event, error)
	Reversals(ctx context.Context, brandID, bizID string) ([]redeem.Redemption, error)
	Tombstones(ctx context.Context, q redeem.Query) ([]ledger.Tombstone, error)
	VerifyRedemption(ctx context.Context, key redeem.Key) (ledger.Report, error)
}

// Config of the handler; every field is required.
type Config struct {
	BrandID string
	Engine  Engine
	Ledger  Ledger
	Now     func() time.Time
	Logger  *slog.Logger
}

// desk is the handler's state: none but its surroundings.
type desk struct{ Config }

// maxBody bounds a request's body.
const maxBody = 16 << 10

// route is a call of the API: "GET /admin/v1/…" and what answers it.
type route struct {
	pattern string
	answer  func(*http.Request) (any, error)
}

func (d *desk) routes() []route {
	get, post := http.MethodGet+" "+adminapi.Prefix, http.MethodPost+" "+adminapi.Prefix
	return []route{
		{get + adminapi.InDoubtPath, d.inDoubt},
		{get + adminapi.RedemptionsPath, d.trails},
		{get + "/redemptions/{action}/{bizID}", d.show},
		{post + "/redemptions/{action}/{bizID}/look-up", d.lookUp},
		{post + "/redemptions/{action}/{bizID}/retry", d.retry},
		{post + "/redemptions/{action}/{bizID}/legs/{no}/resolve", d.resolve},
		{get + adminapi.ReversalsPath, d.reversals},
		{post + adminapi.ReversalsPath + "/{bizID}/retry", d.retryReversal},
	}
}

// Patterns are the calls of the API, as net/http names them.
func Patterns() []string {
	var patterns []string
	for _, r := range (&desk{}).routes() {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}

// New makes the handler of everything under /admin/v1/.
func New(c Config) http.Handler {
	d := &desk{c}
	mux := http.NewServeMux()
	for _, r := range d.routes() {
		mux.Handle(r.pattern, d.answer(r.answer))
	}
	mux.HandleFunc(adminapi.Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &adminapi.Error{Status: http.StatusNotFound, Code: adminapi.CodeNotFound,
			Message: "there is no " + r.Method + " on this path", Remedy: "see docs/guides/in-doubt.md"})
	})
	return local(mux)
}

// Unavailable answers while there is no engine yet.
func Unavailable() http.Handler {
	return local(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, &adminapi.Error{Status: http.StatusServiceUnavailable, Code: adminapi.CodeStarting,
			Message: "the connector has no ledger yet", Remedy: "try again when it is ready"})
	}))
}

// answer turns a function into a handler. What it returns is JSON or an error.
func (d *desk) answer(h func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		out, err := h(r)
		if err != nil {
			told := d.told(err)
			level := slog.LevelInfo
			if told.Status >= http.StatusInternalServerError {
				level = slog.LevelError
			}
			d.Logger.LogAttrs(r.Context(), level, "admin call failed", slog.String("method", r.Method), slog.String("pattern", r.Pattern),
				slog.Int("status", told.Status), slog.String("code", told.Code), slog.String("error", err.Error()))
			fail(w, told)
			return
		}
		write(w, http.StatusOK, out)
	})
}

// told is what a caller is told of an error. Its own faults in full, ours in short:
// the log has the rest.
func (d *desk) told(err error) *adminapi.Error {
	var e *adminapi.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, redeem.ErrNotFound):
		return &adminapi.Error{Status: http.StatusNotFound, Code: adminapi.CodeNotFound, Message: err.Error(),
			Remedy: "check bizId, action and brand: list what is in doubt, or search the till's order number"}
	case errors.Is(err, redeem.ErrFenced):
		return &adminapi.Error{Status: http.StatusConflict, Code: adminapi.CodeChanged, Message: err.Error(), Remedy: "look again, then decide"}
	case errors.Is(err, redeem.ErrTooEarly):
		return tooEarly(err.Error())
	case errors.Is(err, redeem.ErrDecision):
		return &adminapi.Error{Status: http.StatusConflict, Code: adminapi.CodeDecided, Message: err.Error(), Remedy: "look again: somebody else, or the vendor, may have settled it"}
	case errors.Is(err, redeem.ErrCannotAsk):
		return &adminapi.Error{Status: http.StatusConflict, Code: adminapi.CodeCannot, Message: err.Error(),
			Remedy: "look into the vendor's back office and resolve it by hand; where a person must do the reversal, do it there first"}
	}
	return &adminapi.Error{Status: http.StatusInternalServerError, Code: adminapi.CodeInternal,
		Message: "the connector could not do this", Remedy: "see its log; nothing is certain before you have looked again"}
}

func fail(w http.ResponseWriter, e *adminapi.Error) {
	write(w, e.Status, map[string]*adminapi.Error{"error": e})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller hung up
}

// key of the redemption that the path names.
func (d *desk) key(r *http.Request) (redeem.Key, error) {
	action, err := actionOf(r.PathValue("action"))
	return redeem.Key{BrandID: d.BrandID, Action: action, BizID: r.PathValue("bizID")}, err
}

func actionOf(text string) (redeem.Action, error) {
	switch strings.ToUpper(text) {
	case string(redeem.Verify):
		return redeem.Verify, nil
	case string(redeem.ReverseVerify), "REVERSE":
		return redeem.ReverseVerify, nil
	}
	return "", invalid("action", "there is no action "+strconv.Quote(text), "use VERIFY or REVERSE_VERIFY")
}

func invalid(field, message, remedy string) *adminapi.Error {
	return &adminapi.Error{Status: http.StatusBadRequest, Code: adminapi.CodeInvalid, Field: field, Message: message, Remedy: remedy}
}

// decode reads a JSON body. The type is asked for because a web page cannot send it
// to another origin without being allowed to.
func decode(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return invalid("Content-Type", "the body is not declared as JSON", "send Content-Type: application/json")
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return invalid("body", "is not the JSON that is expected: "+err.Error(), "see docs/guides/in-doubt.md")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid("body", "something follows the JSON object", "send one object")
	}
	return nil
}

// limitOf reads ?limit=.
func limitOf(r *http.Request, unset, most int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return unset, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid("limit", strconv.Quote(text)+" is not a number from 1 to "+strconv.Itoa(most), "leave it out for "+strconv.Itoa(unset))
	}
	return n, nil
}
