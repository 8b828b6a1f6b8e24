// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/spans"
)

// AdminPath is where the administration begins.
const AdminPath = "/sandbox/v1"

// Plant makes look-ups differ from the books, or the books from what anyone
// asked for, so that a reconciliation has something to find.
type Plant struct {
	Vendor books.Vendor `json:"vendor"`
	// Key is the bizId or outer_order_id of the entries to change, or of the
	// extra entry.
	Key string `json:"key"`
	// Hide leaves the entries out of all look-ups of flows.
	Hide bool `json:"hide,omitempty"`
	// ShowFen is the amount that look-ups show, fen.
	ShowFen *int64 `json:"show_fen,omitempty"`
	// ExtraFen books a spend that nobody asked for, fen; it needs Member, and at ALSC
	// Shop, because flows are listed by shop there.
	ExtraFen int64  `json:"extra_fen,omitempty"`
	Member   string `json:"member,omitempty"`
	Shop     string `json:"shop,omitempty"`
}

// Plant plants a difference.
func (s *Sandbox) Plant(p Plant) error {
	switch {
	case p.Vendor != books.Zhimai && p.Vendor != books.ALSC:
		return fmt.Errorf("vendor: %q is unknown, use zhimai or alsc", p.Vendor)
	case p.Key == "":
		return errors.New("key: must be given")
	case !p.Hide && p.ShowFen == nil && p.ExtraFen == 0:
		return errors.New("hide: one of hide, show_fen and extra_fen must be given")
	}
	if p.ExtraFen != 0 {
		_, err := s.books.Spend(books.Spend{Vendor: p.Vendor, Method: "planted", Key: p.Key, Member: p.Member, Shop: p.Shop, AmountFen: p.ExtraFen})
		return err
	}
	entries := s.books.ByKey(p.Vendor, p.Key)
	if len(entries) == 0 {
		return fmt.Errorf("key: nothing is booked under %q", p.Key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		s.plants[e.Seq] = p
	}
	return nil
}

// Credentials are what SetCredentials takes.
type Credentials struct {
	Zhimai []ZhimaiAccount `json:"zhimai,omitempty"`
	ALSC   []TOPApp        `json:"alsc,omitempty"`
}

// Down is the body of PUT /down.
type Down struct {
	Vendor books.Vendor `json:"vendor"`
	Mode   DownMode     `json:"mode"`
}

// ResetRequest is the body of POST /reset.
type ResetRequest struct {
	KeepMembers bool `json:"keep_members,omitempty"`
}

func (s *Sandbox) adminRoutes(mux *http.ServeMux) {
	handle := func(pattern string, h func(*http.Request) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+AdminPath+path, func(w http.ResponseWriter, r *http.Request) { s.adminAnswer(w, r, h) })
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	handle("GET /members", func(r *http.Request) (any, error) { return s.books.Members(books.Vendor(r.FormValue("vendor"))), nil })
	handle("GET /members/{vendor}/{id}", s.adminMember)
	handle("POST /members", s.adminPutMembers)
	handle("GET /books", s.adminBooks)
	handle("GET /books/net", s.adminNets)
	handle("POST /books/plant", func(r *http.Request) (any, error) {
		return decodeThen(r, func(p Plant) (any, error) { return p, s.Plant(p) })
	})
	handle("POST /reset", func(r *http.Request) (any, error) {
		return decodeThen(r, func(q ResetRequest) (any, error) { return q, s.Reset(q.KeepMembers) })
	})
	handle("GET /calls", s.adminCalls)
	handle("DELETE /calls", func(*http.Request) (any, error) { s.calls.reset(); return struct{}{}, nil })
	handle("GET /deliveries", func(r *http.Request) (any, error) { return s.calls.counted(r.FormValue("repeated") == "true"), nil })
	handle("GET /faults", func(*http.Request) (any, error) { return s.faults.Rules(), nil })
	handle("POST /faults", s.adminAddFaults)
	handle("DELETE /faults", func(*http.Request) (any, error) { return map[string]int{"removed": s.faults.Remove("")}, nil })
	handle("DELETE /faults/{id}", func(r *http.Request) (any, error) {
		n := s.faults.Remove(r.PathValue("id"))
		if n == 0 {
			return nil, notFound("id: no fault %q", r.PathValue("id"))
		}
		return map[string]int{"removed": n}, nil
	})
	handle("PUT /down", func(r *http.Request) (any, error) {
		return decodeThen(r, func(d Down) (any, error) { return d, s.SetDown(d.Vendor, d.Mode) })
	})
	handle("PUT /credentials", func(r *http.Request) (any, error) {
		return decodeThen(r, func(c Credentials) (any, error) { return struct{}{}, s.SetCredentials(c.Zhimai, c.ALSC) })
	})
}

// adminError is an error with the HTTP status that fits; others are 400.
type adminError struct {
	status int
	error
}

func notFound(format string, args ...any) error {
	return adminError{http.StatusNotFound, fmt.Errorf(format, args...)}
}

func (s *Sandbox) adminAnswer(w http.ResponseWriter, r *http.Request, h func(*http.Request) (any, error)) {
	status := http.StatusOK
	answer, err := h(r)
	if err != nil {
		status = http.StatusBadRequest
		var a adminError
		if errors.As(err, &a) {
			status = a.status
		}
		answer = map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(answer); err != nil {
		s.log.Warn("administration answer was not taken", "path", r.URL.Path, "error", err)
	}
}

// decodeThen reads the body strictly; an empty body is the zero value.
func decodeThen[T any](r *http.Request, then func(T) (any, error)) (any, error) {
	var v T
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := strict(raw, &v); err != nil {
			return nil, err
		}
	}
	return then(v)
}

func strict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fmt.Errorf("%s: is a %s, must be a %s", wrong.Field, wrong.Value, wrong.Type)
		}
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

// oneOrMany reads an object or an array of objects.
func oneOrMany[T any](r *http.Request) ([]T, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 16*maxBody))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if t := bytes.TrimSpace(raw); len(t) > 0 && t[0] == '[' {
		var many []T
		return many, strict(raw, &many)
	}
	var one T
	err = strict(raw, &one)
	return []T{one}, err
}

func (s *Sandbox) adminMember(r *http.Request) (any, error) {
	m, ok := s.books.Find(books.Vendor(r.PathValue("vendor")), books.ByID, r.PathValue("id"))
	if !ok {
		return nil, notFound("id: no member %q at %q", r.PathValue("id"), r.PathValue("vendor"))
	}
	return m, nil
}

func (s *Sandbox) adminPutMembers(r *http.Request) (any, error) {
	members, err := oneOrMany[books.Member](r)
	if err != nil {
		return nil, err
	}
	for i, m := range members {
		if err := s.books.Put(m); err != nil {
			return nil, fmt.Errorf("members[%d].%w", i, err)
		}
	}
	return map[string]int{"put": len(members)}, nil
}

func (s *Sandbox) adminAddFaults(r *http.Request) (any, error) {
	rules, err := oneOrMany[fault.Rule](r)
	if err != nil {
		return nil, err
	}
	return s.faults.Add(rules...)
}

// query reads typed query parameters and remembers the first that is wrong.
type query struct {
	r   *http.Request
	err error
}

func (q *query) text(name string) string { return q.r.FormValue(name) }

func (q *query) int(name string) int64 {
	v := q.r.FormValue(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil && q.err == nil {
		q.err = fmt.Errorf("%s: %q is not an integer", name, v)
	}
	return n
}

func (q *query) time(name string) time.Time {
	v := q.r.FormValue(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil && q.err == nil {
		q.err = fmt.Errorf("%s: %q is not a time such as 2026-01-02T15:04:05Z", name, v)
	}
	return t
}

func bookFilter(r *http.Request) (books.Filter, error) {
	q := &query{r: r}
	f := books.Filter{
		Vendor: books.Vendor(q.text("vendor")), Key: q.text("key"), Member: q.text("member"), RequestID: q.text("request_id"),
		FlowID: q.text("flow_id"), Kind: books.Kind(q.text("kind")), AfterSeq: q.int("after_seq"),
		From: q.time("from"), To: q.time("to"), Limit: int(q.int("limit")),
	}
	return f, q.err
}

func (s *Sandbox) adminBooks(r *http.Request) (any, error) {
	f, err := bookFilter(r)
	if err != nil {
		return nil, err
	}
	return s.books.Entries(f), nil
}

func (s *Sandbox) adminNets(r *http.Request) (any, error) {
	f, err := bookFilter(r)
	if err != nil {
		return nil, err
	}
	return s.books.Nets(f), nil
}

func (s *Sandbox) adminCalls(r *http.Request) (any, error) {
	q := &query{r: r}
	f := CallFilter{
		Vendor: books.Vendor(q.text("vendor")), Method: q.text("method"), Key: q.text("key"), Member: q.text("member"),
		Fault: q.text("fault"), AfterSeq: q.int("after_seq"), Limit: int(q.int("limit")),
	}
	if q.err != nil {
		return nil, q.err
	}
	return s.calls.list(f), nil
}

// traceRoutes are the trace sink and its reading side. Metrics and logs, which
// an exporter may send to the same address, are accepted and dropped.
func (s *Sandbox) traceRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/traces", s.spans)
	drop := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 16*maxBody))
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		if strings.Contains(r.Header.Get("Content-Type"), "json") {
			_, _ = io.WriteString(w, "{}")
		}
	}
	mux.HandleFunc("POST /v1/metrics", drop)
	mux.HandleFunc("POST /v1/logs", drop)
	mux.HandleFunc("GET "+AdminPath+"/traces", s.serveTraces)
}

func (s *Sandbox) serveTraces(w http.ResponseWriter, r *http.Request) {
	id, root := r.FormValue("trace_id"), r.FormValue("root")
	asText := r.FormValue("format") == "text" || strings.HasPrefix(r.Header.Get("Accept"), "text/plain")
	if id == "" && root != "" {
		if found := s.spans.Traces(root); len(found) > 0 {
			id = found[0].TraceID
		}
	}
	if asText && id != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, spans.Render(s.spans.Trace(id), r.FormValue("all") == "true"))
		return
	}
	s.adminAnswer(w, r, func(*http.Request) (any, error) {
		if id == "" && root == "" {
			return s.spans.Traces(""), nil
		}
		list := s.spans.Trace(id)
		if id == "" || len(list) == 0 {
			return nil, notFound("trace_id: no spans of trace %q, root %q", id, root)
		}
		return map[string]any{"trace_id": id, "spans": len(list), "tree": spans.Tree(list)}, nil
	})
}
