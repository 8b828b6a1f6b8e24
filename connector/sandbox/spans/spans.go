// SPDX-License-Identifier: Apache-2.0

// Package spans is the sandbox's trace sink: it takes spans as OTLP over HTTP
// brings them, keeps the newest, and shows a trace as a tree. It is there so
// that a trace can be read on a machine that has no tracing backend; it is
// not one.
package spans

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Span is one span as it was received. Ids are lower-case hexadecimal.
type Span struct {
	TraceID    string            `json:"trace_id"`
	SpanID     string            `json:"span_id"`
	ParentID   string            `json:"parent_id,omitempty"`
	Service    string            `json:"service,omitempty"`
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Start      time.Time         `json:"start"`
	End        time.Time         `json:"end"`
	Error      bool              `json:"error,omitempty"`
	Message    string            `json:"message,omitempty"` // of the status
	Attributes map[string]string `json:"attributes,omitempty"`
	Resource   map[string]string `json:"resource,omitempty"`
	Events     []Event           `json:"events,omitempty"`
	Links      []Link            `json:"links,omitempty"`
}

// Duration is how long the span lasted.
func (s Span) Duration() time.Duration { return s.End.Sub(s.Start) }

// Event is a moment within a span.
type Event struct {
	Name       string            `json:"name"`
	Time       time.Time         `json:"time"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Link points to a span of another trace.
type Link struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
}

// Store keeps the newest spans. It is safe for concurrent use.
type Store struct {
	mu    sync.Mutex
	max   int
	spans []Span
}

// NewStore returns a store that keeps at most limit spans.
func NewStore(limit int) *Store { return &Store{max: limit} }

// Add stores spans; the oldest make room.
func (s *Store) Add(spans ...Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans = append(s.spans, spans...)
	if len(s.spans) > s.max+s.max/2 {
		s.spans = append([]Span(nil), s.spans[len(s.spans)-s.max:]...)
	}
}

// Reset forgets all spans.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans = nil
}

// All returns the spans in the order in which they came.
func (s *Store) All() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Span(nil), s.spans[max(0, len(s.spans)-s.max):]...)
}

// Trace returns the spans of one trace by start time.
func (s *Store) Trace(traceID string) []Span {
	var out []Span
	for _, sp := range s.All() {
		if sp.TraceID == strings.ToLower(traceID) {
			out = append(out, sp)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Start.Before(out[j].Start) })
	return out
}

// Summary describes one trace.
type Summary struct {
	TraceID string    `json:"trace_id"`
	Root    string    `json:"root"`
	Start   time.Time `json:"start"`
	Spans   int       `json:"spans"`
	Errors  int       `json:"errors"`
}

// Traces lists the traces whose root's name contains root, newest first.
func (s *Store) Traces(root string) []Summary {
	byTrace := map[string][]Span{}
	for _, sp := range s.All() {
		byTrace[sp.TraceID] = append(byTrace[sp.TraceID], sp)
	}
	out := []Summary{}
	for id, list := range byTrace {
		sum := Summary{TraceID: id, Spans: len(list)}
		for i, n := range Tree(list) {
			if i == 0 || n.Start.Before(sum.Start) {
				sum.Root, sum.Start = n.Name, n.Start
			}
		}
		for _, sp := range list {
			if sp.Error {
				sum.Errors++
			}
		}
		if strings.Contains(sum.Root, root) {
			out = append(out, sum)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if !out[i].Start.Equal(out[j].Start) {
			return out[i].Start.After(out[j].Start)
		}
		return out[i].TraceID < out[j].TraceID
	})
	return out
}

// maxPayload bounds one export, decompressed, in bytes.
const maxPayload = 64 << 20

// ServeHTTP takes an ExportTraceServiceRequest as protobuf or JSON, plain or
// gzip.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.Add(fromProto(req)...)
	answer(w, r, &collector.ExportTraceServiceResponse{})
}

func answer(w http.ResponseWriter, r *http.Request, m proto.Message) {
	encode, mediaType := proto.Marshal, "application/x-protobuf"
	if isJSON(r) {
		encode, mediaType = protojson.Marshal, "application/json"
	}
	raw, err := encode(m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	_, _ = w.Write(raw) // the exporter is gone: it will send again
}

func isJSON(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

func read(r *http.Request) (*collector.ExportTraceServiceRequest, error) {
	var body io.Reader = r.Body
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, fmt.Errorf("decompress spans: %w", err)
		}
		body = z
	default:
		return nil, fmt.Errorf("content encoding %q is not supported, use gzip or none", enc)
	}
	raw, err := io.ReadAll(io.LimitReader(body, maxPayload+1))
	if err != nil {
		return nil, fmt.Errorf("read spans: %w", err)
	}
	if len(raw) > maxPayload {
		return nil, errors.New("the export is larger than 64 MiB")
	}
	return Decode(raw, isJSON(r))
}

// Decode reads an ExportTraceServiceRequest.
func Decode(raw []byte, asJSON bool) (*collector.ExportTraceServiceRequest, error) {
	req := &collector.ExportTraceServiceRequest{}
	if asJSON {
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, req); err != nil {
			return nil, fmt.Errorf("decode spans: %w", err)
		}
		return req, nil
	}
	if err := proto.Unmarshal(raw, req); err != nil {
		return nil, fmt.Errorf("decode spans: %w", err)
	}
	return req, nil
}

func fromProto(req *collector.ExportTraceServiceRequest) []Span {
	var out []Span
	for _, rs := range req.GetResourceSpans() {
		resource := attributes(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			for _, sp := range ss.GetSpans() {
				out = append(out, fromSpan(sp, resource))
			}
		}
	}
	return out
}

func fromSpan(sp *otlp.Span, resource map[string]string) Span {
	s := Span{
		TraceID: id(sp.GetTraceId(), 16), SpanID: id(sp.GetSpanId(), 8),
		ParentID: id(sp.GetParentSpanId(), 8), Service: resource["service.name"], Name: sp.GetName(),
		Kind:  strings.ToLower(strings.TrimPrefix(sp.GetKind().String(), "SPAN_KIND_")),
		Start: stamp(sp.GetStartTimeUnixNano()), End: stamp(sp.GetEndTimeUnixNano()),
		Error: sp.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR, Message: sp.GetStatus().GetMessage(),
		Attributes: attributes(sp.GetAttributes()), Resource: resource,
	}
	for _, e := range sp.GetEvents() {
		s.Events = append(s.Events, Event{e.GetName(), stamp(e.GetTimeUnixNano()), attributes(e.GetAttributes())})
	}
	for _, l := range sp.GetLinks() {
		s.Links = append(s.Links, Link{id(l.GetTraceId(), 16), id(l.GetSpanId(), 8)})
	}
	return s
}

// id writes an id of size bytes as hexadecimal. OTLP's JSON has ids in
// hexadecimal already, which protobuf's JSON takes for base64: the bytes that
// come of it are half as many again, and turn back into the text.
func id(raw []byte, size int) string {
	if len(raw) == size*3/2 {
		return strings.ToLower(base64.StdEncoding.EncodeToString(raw))
	}
	return hex.EncodeToString(raw)
}

func stamp(ns uint64) time.Time { return time.Unix(0, int64(ns)).UTC() }

func attributes(kvs []*common.KeyValue) map[string]string {
	out := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		out[kv.GetKey()] = text(kv.GetValue())
	}
	return out
}

func text(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_DoubleValue:
		return fmt.Sprint(v.DoubleValue)
	case *common.AnyValue_ArrayValue:
		var parts []string
		for _, e := range v.ArrayValue.GetValues() {
			parts = append(parts, text(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *common.AnyValue_BytesValue:
		return hex.EncodeToString(v.BytesValue)
	}
	return ""
}
