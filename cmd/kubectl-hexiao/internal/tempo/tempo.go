// SPDX-License-Identifier: Apache-2.0

package tempo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/trail"
	"github.com/hexiao-dev/hexiao/connector/redact"
)

// ErrNotFound says that the backend has no such trace, or none any more, or that it
// was not sampled.
var ErrNotFound = errors.New("the backend has no such trace: it was not sampled, or it is too old")

const (
	maxTrace  = 64 << 20
	mediaType = "application/protobuf"
)

// Client reads traces.
type Client struct {
	base   *url.URL
	tenant string
	http   *http.Client
}

// New makes a client of a backend, such as http://tempo.example:3200; a user and a
// password in the URL are sent as basic authentication. tenant, when not empty, is
// sent as X-Scope-OrgID.
func New(base, tenant string, client *http.Client) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the tracing backend's URL is none: use one like http://tempo.example:3200") // not the text: it may hold a password
	}
	return &Client{base: u, tenant: tenant, http: client}, nil
}

var traceID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Trace reads the spans of a trace.
func (c *Client) Trace(ctx context.Context, id string) ([]trail.Span, error) {
	if !traceID.MatchString(id) {
		return nil, fmt.Errorf("%q is no trace id: 32 hexadecimal digits are", id)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath("api/traces", id).String(), nil)
	if err != nil {
		return nil, errors.New("make the request for the trace")
	}
	req.Header.Set("Accept", mediaType)
	if c.tenant != "" {
		req.Header.Set("X-Scope-OrgID", c.tenant)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the tracing backend: %w", bare(err))
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, ErrNotFound
	default:
		return nil, fmt.Errorf("the tracing backend answers HTTP %d", resp.StatusCode)
	}
	if got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); got != mediaType {
		return nil, fmt.Errorf("the tracing backend answers in %q, not in %s: is it Tempo's HTTP API?", got, mediaType)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxTrace+1))
	if err != nil {
		return nil, fmt.Errorf("read the trace: %w", err)
	}
	if len(raw) > maxTrace {
		return nil, errors.New("the trace is larger than 64 MiB")
	}
	return Decode(raw, id)
}

// bare takes the URL, which may hold a password, out of an error of net/http.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Decode reads a trace in OpenTelemetry's encoding. Spans of other traces are left out.
func Decode(raw []byte, id string) ([]trail.Span, error) {
	var data tracev1.TracesData // Tempo's message has the same field 1
	if err := proto.Unmarshal(raw, &data); err != nil {
		return nil, fmt.Errorf("decode the trace: %w", err)
	}
	var spans []trail.Span
	for _, resource := range data.GetResourceSpans() {
		service := attribute(resource.GetResource().GetAttributes(), "service.name")
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				if strings.TrimLeft(hex.EncodeToString(s.GetTraceId()), "0") != strings.TrimLeft(id, "0") {
					continue
				}
				spans = append(spans, span(s, service))
			}
		}
	}
	if len(spans) == 0 {
		return nil, ErrNotFound
	}
	return spans, nil
}

// span takes of a span what tells where time went. Attributes stay behind but for the
// status: those of other services may hold anything.
func span(s *tracev1.Span, service string) trail.Span {
	status := attribute(s.GetAttributes(), "http.response.status_code")
	if status == "" {
		status = attribute(s.GetAttributes(), "http.status_code")
	}
	return trail.Span{
		ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()), Name: redact.Mobiles(s.GetName()), Service: service,
		Start: at(s.GetStartTimeUnixNano()), End: at(s.GetEndTimeUnixNano()), Error: s.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR, Status: status,
	}
}

func at(nanos uint64) time.Time { return time.Unix(0, int64(nanos)).UTC() }

func attribute(list []*commonv1.KeyValue, key string) string {
	for _, kv := range list {
		if kv.GetKey() != key {
			continue
		}
		switch v := kv.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			return v.StringValue
		case *commonv1.AnyValue_IntValue:
			return strconv.FormatInt(v.IntValue, 10)
		}
	}
	return ""
}
