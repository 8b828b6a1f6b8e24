// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// Admin speaks to the administration of a sandbox in another process.
type Admin struct {
	BaseURL string       // such as http://127.0.0.1:18080
	Client  *http.Client // default http.DefaultClient
}

// Do calls method on path, which is relative to AdminPath and may have a
// query. in is sent as JSON unless it is nil; into gets the answer unless it
// is nil. A *[]byte gets the raw bytes.
func (a Admin) Do(ctx context.Context, method, path string, in, into any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.BaseURL+AdminPath+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	client := a.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("call sandbox: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var e struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(raw, &e) != nil || e.Error == "" {
			e.Error = string(raw)
		}
		return fmt.Errorf("sandbox answers %d: %s", resp.StatusCode, e.Error)
	}
	switch into := into.(type) {
	case nil:
		return nil
	case *[]byte:
		*into = raw
		return nil
	default:
		if err := json.Unmarshal(raw, into); err != nil {
			return fmt.Errorf("decode answer: %w", err)
		}
		return nil
	}
}

// PutMembers creates or replaces members.
func (a Admin) PutMembers(ctx context.Context, members ...books.Member) error {
	return a.Do(ctx, http.MethodPost, "/members", members, nil)
}

// Member returns one member.
func (a Admin) Member(ctx context.Context, v books.Vendor, id string) (books.Member, error) {
	var m books.Member
	err := a.Do(ctx, http.MethodGet, "/members/"+url.PathEscape(string(v))+"/"+url.PathEscape(id), nil, &m)
	return m, err
}

// Entries returns the entries that f selects; OwnKey does not travel.
func (a Admin) Entries(ctx context.Context, f books.Filter) ([]books.Entry, error) {
	var out []books.Entry
	err := a.Do(ctx, http.MethodGet, "/books?"+bookQuery(f), nil, &out)
	return out, err
}

// Nets returns what each key cost in the end.
func (a Admin) Nets(ctx context.Context, f books.Filter) ([]books.Net, error) {
	var out []books.Net
	err := a.Do(ctx, http.MethodGet, "/books/net?"+bookQuery(f), nil, &out)
	return out, err
}

func bookQuery(f books.Filter) string {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "0" {
			q.Set(name, value)
		}
	}
	set("vendor", string(f.Vendor))
	set("key", f.Key)
	set("member", f.Member)
	set("request_id", f.RequestID)
	set("flow_id", f.FlowID)
	set("kind", string(f.Kind))
	set("after_seq", strconv.FormatInt(f.AfterSeq, 10))
	set("limit", strconv.Itoa(f.Limit))
	if !f.From.IsZero() {
		q.Set("from", f.From.Format(timeLayout))
	}
	if !f.To.IsZero() {
		q.Set("to", f.To.Format(timeLayout))
	}
	return q.Encode()
}

const timeLayout = "2006-01-02T15:04:05.999999999Z07:00"

// Calls returns remembered calls.
func (a Admin) Calls(ctx context.Context, f CallFilter) ([]Call, error) {
	q := url.Values{
		"vendor": {string(f.Vendor)}, "method": {f.Method}, "key": {f.Key}, "member": {f.Member}, "fault": {f.Fault},
		"after_seq": {strconv.FormatInt(f.AfterSeq, 10)}, "limit": {strconv.Itoa(f.Limit)},
	}
	var out []Call
	err := a.Do(ctx, http.MethodGet, "/calls?"+q.Encode(), nil, &out)
	return out, err
}

// Deliveries returns how often each key arrived and was booked.
func (a Admin) Deliveries(ctx context.Context, repeatedOnly bool) ([]Delivery, error) {
	var out []Delivery
	err := a.Do(ctx, http.MethodGet, "/deliveries?repeated="+strconv.FormatBool(repeatedOnly), nil, &out)
	return out, err
}

// AddFaults appends rules and returns them with their ids.
func (a Admin) AddFaults(ctx context.Context, rules ...fault.Rule) ([]fault.Rule, error) {
	var out []fault.Rule
	err := a.Do(ctx, http.MethodPost, "/faults", rules, &out)
	return out, err
}

// Faults returns the rules with their counters.
func (a Admin) Faults(ctx context.Context) ([]fault.Status, error) {
	var out []fault.Status
	err := a.Do(ctx, http.MethodGet, "/faults", nil, &out)
	return out, err
}

// ClearFaults removes all rules.
func (a Admin) ClearFaults(ctx context.Context) error {
	return a.Do(ctx, http.MethodDelete, "/faults", nil, nil)
}

// SetDown takes a vendor off the network or brings it back.
func (a Admin) SetDown(ctx context.Context, v books.Vendor, mode DownMode) error {
	return a.Do(ctx, http.MethodPut, "/down", Down{v, mode}, nil)
}

// SetCredentials replaces the credentials of each vendor that is given.
func (a Admin) SetCredentials(ctx context.Context, c Credentials) error {
	return a.Do(ctx, http.MethodPut, "/credentials", c, nil)
}

// Plant plants a difference for a reconciliation to find.
func (a Admin) Plant(ctx context.Context, p Plant) error {
	return a.Do(ctx, http.MethodPost, "/books/plant", p, nil)
}

// Reset forgets everything but credentials, and members unless keepMembers.
func (a Admin) Reset(ctx context.Context, keepMembers bool) error {
	return a.Do(ctx, http.MethodPost, "/reset", ResetRequest{keepMembers}, nil)
}

// Trace returns a trace drawn as a tree of text.
func (a Admin) Trace(ctx context.Context, traceID string) (string, error) {
	var raw []byte
	err := a.Do(ctx, http.MethodGet, "/traces?format=text&trace_id="+url.QueryEscape(traceID), nil, &raw)
	return string(raw), err
}
