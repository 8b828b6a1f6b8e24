// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hexiao-dev/hexiao/connector/admin"
	"github.com/hexiao-dev/hexiao/connector/keruyun"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

var update = flag.Bool("update", false, "write the replies into openapi.yaml")

const (
	spiFile, adminFile = "openapi.yaml", "admin-openapi.yaml"
	exampleTrace       = "4bf92f3577b34da6a3ce929d0e0e4736"
)

func TestEveryPathOfTheHandlersIsInADocumentAndTheOtherWayRound(t *testing.T) {
	type everything struct {
		keruyun.Engine
		keruyun.Reverser
		keruyun.Finder
		keruyun.MemberFinder
	}
	h, err := keruyun.New(keruyun.Config{
		BrandID: brandID, AppKey: "a", Tokens: []string{"t"}, Reverser: everything{}, Finder: everything{}, Members: everything{},
		Clock: time.Now, Logger: slog.New(slog.DiscardHandler), TracerProvider: noop.NewTracerProvider(),
	}, everything{})
	if err != nil {
		t.Fatal(err)
	}
	var spis []string
	for _, path := range h.Paths() {
		spis = append(spis, "POST "+path)
	}
	for name, served := range map[string][]string{spiFile: spis, adminFile: admin.Patterns()} {
		var documented []string
		for _, op := range load(t, name).operations() {
			documented = append(documented, op.method+" "+op.path)
		}
		slices.Sort(served)
		slices.Sort(documented)
		if diff := cmp.Diff(served, documented); diff != "" {
			t.Errorf("%s (-served +documented):\n%s", name, diff)
		}
	}
}

// stages are what the test does before an example, so that what its summary says happens.
func (w *world) stages(t *testing.T) map[string]func() {
	return map[string]func(){
		"verify not-known": func() {
			w.fault(t, fault.Rule{Vendor: "alsc", Kind: fault.ResetBeforeApply, Key: redeem.UpstreamKey(brandID, redeem.Verify, "20250006", 0), Count: 1})
		},
		"verify not-sent": func() { w.down(t, sandbox.Refuse) },
		"reverse part":    func() { w.down(t, sandbox.Up) },
	}
}

func (w *world) fault(t *testing.T, r fault.Rule) {
	t.Helper()
	if _, err := w.sandbox.Sandbox.Faults().Add(r); err != nil {
		t.Fatal(err)
	}
}

func (w *world) down(t *testing.T, mode sandbox.DownMode) {
	t.Helper()
	if err := w.sandbox.Sandbox.SetDown(books.ALSC, mode); err != nil {
		t.Fatal(err)
	}
}

func TestEveryExampleIsAnsweredAsDocumented(t *testing.T) {
	w := start(t)
	w.replaySPIs(t)
	t.Run("turned away", w.turnedAway)
	w.replayAdmin(t)
}

func (w *world) replaySPIs(t *testing.T) {
	d := load(t, spiFile)
	stages := w.stages(t)
	for _, op := range d.operations() {
		spi := op.path[strings.LastIndex(op.path, "/")+1:]
		replies := map[string]json.RawMessage{}
		var names []string
		for _, x := range d.examples(t, op) {
			if prepare := stages[spi+" "+x.name]; prepare != nil {
				prepare()
			}
			t.Run(spi+" "+x.name, func(t *testing.T) {
				url, err := w.till.URL("member-assets/"+spi, x.body)
				if err != nil {
					t.Fatal(err)
				}
				if x.name != "unknown-type" {
					d.checkRequest(t, op, url, map[string]string{"brandId": brandID}, x.body)
				}
				r := do(t, op.method, url, "application/json", x.body)
				d.checkReply(t, op, url, r)
				names, replies[x.name] = append(names, x.name), exampleOf(r.body)
				if r.status != http.StatusOK {
					t.Errorf("HTTP %d: %s", r.status, r.body)
				}
				if !*update {
					d.isDocumented(t, op, x.name, replies[x.name])
				}
			})
		}
		if *update {
			writeReplies(t, spi, names, replies)
		}
	}
}

// isDocumented holds a reply against the document's example of the same name.
func (d document) isDocumented(t *testing.T, op operation, name string, got json.RawMessage) {
	t.Helper()
	ref := op.Responses.Status(http.StatusOK).Value.Content["application/json"].Examples[name]
	if ref == nil {
		t.Fatalf("the document has no reply %q: go test ./hack/openapi -update", name)
	}
	documented, err := json.Marshal(ref.Value.Value)
	if err != nil {
		t.Fatal(err)
	}
	var want, have any
	for raw, into := range map[*any][]byte{&want: documented, &have: got} {
		if err := json.Unmarshal(into, raw); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("the reply (-documented +got):\n%s", diff)
	}
}

var messageUUID = regexp.MustCompile(`"messageUuid":"[0-9a-f]{32}"`)

// exampleOf is a reply with the document's trace id in place of its own.
func exampleOf(body []byte) json.RawMessage {
	return messageUUID.ReplaceAll(body, []byte(`"messageUuid":"`+exampleTrace+`"`))
}

// writeReplies writes the replies of an SPI between their marks.
func writeReplies(t *testing.T, spi string, names []string, replies map[string]json.RawMessage) {
	t.Helper()
	const indent = "              "
	path := root + "/docs/reference/" + spiFile
	text := read(t, path)
	begin := indent + "# replies of " + spi + `: generated by "go test ./hack/openapi -update"` + "\n"
	head, rest, found := strings.Cut(text, begin)
	_, tail, closed := strings.Cut(rest, indent+"# end\n")
	if !found || !closed {
		t.Fatalf("%s has no marks for the replies of %s", spiFile, spi)
	}
	var b strings.Builder
	b.WriteString(head + begin + indent + "examples:\n")
	for _, name := range names {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, replies[name], indent+"    ", "  "); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s  %s:\n%s    value: %s\n", indent, name, indent, pretty.String())
	}
	if err := os.WriteFile(path, []byte(b.String()+indent+"# end\n"+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// turnedAway: calls that never get to an SPI are answered with the document's Refused.
func (w *world) turnedAway(t *testing.T) {
	d := load(t, spiFile)
	op := d.operations()[0]
	body := []byte(`{"queryType":"MOBILE","queryValue":"15000001111"}`)
	signed, err := w.till.URL("member-assets/query", body)
	if err != nil {
		t.Fatal(err)
	}
	large, err := w.till.URL("member-assets/query", bytes.Repeat([]byte(" "), 65<<10))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		method, url, contentType string
		body                     []byte
		want                     int
	}{
		"without a time stamp":       {"POST", regexp.MustCompile(`timestamp=\d+`).ReplaceAllString(signed, "x=1"), "application/json", body, 400},
		"with another body":          {"POST", signed, "application/json", append(slices.Clone(body), ' '), 401},
		"for another brand":          {"POST", strings.Replace(signed, "/11342/", "/11343/", 1), "application/json", body, 404},
		"by another method":          {"GET", signed, "application/json", nil, 405},
		"with more than 64 KiB":      {"POST", large, "application/json", bytes.Repeat([]byte(" "), 65<<10), 413},
		"in another form than JSON":  {"POST", signed, "text/plain", body, 415},
		"to an SPI that there isn't": {"POST", strings.Replace(signed, "/query", "/steal", 1), "application/json", body, 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := do(t, tc.method, tc.url, tc.contentType, tc.body)
			if r.status != tc.want {
				t.Errorf("HTTP %d, want %d: %s", r.status, tc.want, r.body)
			}
			d.checkReply(t, op, signed, r)
		})
	}
}

func (w *world) replayAdmin(t *testing.T) {
	d := load(t, adminFile)
	want := map[string]int{"resolveLeg against-the-evidence": 409, "resolveLeg too-early": 409, "retryReversal retry": 409}
	for _, op := range d.operations() {
		path, params := op.url()
		for _, x := range d.examples(t, op) {
			t.Run(strings.TrimSpace(op.OperationID+" "+x.name), func(t *testing.T) {
				url := w.admin + path
				d.checkRequest(t, op, url, params, x.body)
				contentType := ""
				if x.body != nil {
					contentType = "application/json"
				}
				r := do(t, op.method, url, contentType, x.body)
				// The resolver may hold the leg at this moment.
				for deadline := time.Now().Add(2 * time.Minute); held(r) && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
					r = do(t, op.method, url, contentType, x.body)
				}
				d.checkReply(t, op, url, r)
				status := want[op.OperationID+" "+x.name]
				if status == 0 {
					status = http.StatusOK
				}
				if r.status != status {
					t.Errorf("HTTP %d, want %d: %s", r.status, status, r.body)
				}
			})
		}
	}
	for path, status := range map[string]int{"/in-doubt?limit=0": 400, "/redemptions": 400, "/redemptions/VERIFY/nothing": 404, "/nowhere": 404} {
		r := w.get(t, "/admin/v1"+path)
		if r.status != status {
			t.Errorf("%s: HTTP %d, want %d", path, r.status, status)
		}
		d.checkReply(t, d.operations()[0], w.admin+"/admin/v1/in-doubt", r)
	}
}

func held(r reply) bool {
	return r.status == http.StatusConflict && bytes.Contains(r.body, []byte(`"code":"changed"`))
}

// url is the operation's path and query with its parameters' examples.
func (op operation) url() (url string, inPath map[string]string) {
	url, inPath = op.path, map[string]string{}
	separator := "?"
	for _, ref := range op.Parameters {
		p, value := ref.Value, fmt.Sprint(ref.Value.Example)
		if p.Example == nil { // one that an example leaves out
			continue
		}
		switch p.In {
		case "path":
			url, inPath[p.Name] = strings.Replace(url, "{"+p.Name+"}", value, 1), value
		case "query":
			url += separator + p.Name + "=" + value
			separator = "&"
		}
	}
	return url, inPath
}
