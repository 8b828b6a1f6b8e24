// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var (
	subCodeTable = regexp.MustCompile(`(?s)(<!-- sub-codes: [^\n]*-->\n).*(<!-- /sub-codes -->)`)
	jsonBlock    = regexp.MustCompile("(?s)```json\n(.*?)```")
)

func TestReferencePagesListEverySubCode(t *testing.T) {
	for page, table := range map[string]string{"member-spi.md": englishTable(), "member-spi.zh-CN.md": chineseTable()} {
		t.Run(page, func(t *testing.T) {
			file := filepath.Join("..", "..", "docs", "reference", page)
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := subCodeTable.ReplaceAllString(string(got), "${1}"+table+"${2}")
			if *update {
				if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

func TestReferencePagesShowAnAnswerThatIsGiven(t *testing.T) {
	for _, page := range []string{"member-spi.md", "member-spi.zh-CN.md"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", page))
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal([]byte(jsonBlock.FindStringSubmatch(string(raw))[1]), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(VerifyAnswer(redemption(paid), Options{}), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got): %s", page, diff)
		}
	}
}

func TestReferencePagesShowAMemberThatIsShown(t *testing.T) {
	want := MemberAnswer("11342", redeem.MemberView{Member: member(), Items: items(), Found: true}, "4bf92f3577b34da6a3ce929d0e0e4736")
	for _, page := range []string{"member-spi.md", "member-spi.zh-CN.md"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", page))
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := json.Compact(&got, []byte(jsonBlock.FindAllStringSubmatch(string(raw), -1)[1][1])); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got): %s", page, diff)
		}
		for kind := range queryTypes {
			if !strings.Contains(string(raw), "| `"+kind+"`") {
				t.Errorf("%s does not list queryType %s", page, kind)
			}
		}
	}
}

func TestTheMetricReferenceListsEveryStatusThatIsAnswered(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxBody = int64(len(seedBody)) })
	answered := map[int]bool{}
	call := func(r *http.Request) {
		w, _ := f.call(t, r)
		answered[w.Code] = true
	}
	changed := func(change func(*http.Request)) *http.Request {
		r := signed(verifyPath, V2, seedBody)
		change(r)
		return r
	}
	call(signed(verifyPath, V2, seedBody))
	call(signed(verifyPath, V2, append(seedBody, ' ')))
	call(signed("/other", V2, seedBody))
	call(changed(func(r *http.Request) { r.Method = http.MethodGet }))
	call(changed(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }))
	call(changed(func(r *http.Request) { r.URL.RawQuery = "" }))
	call(changed(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{}")) }))
	if err := f.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	call(signed(verifyPath, V2, seedBody))

	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| .http_response_status_code. .*$`).FindString(string(page))
	listed := map[int]bool{}
	for _, code := range regexp.MustCompile("`([1-5][0-9]{2})`").FindAllStringSubmatch(row, -1) {
		status, _ := strconv.Atoi(code[1])
		listed[status] = true
	}
	if diff := cmp.Diff(answered, listed); diff != "" {
		t.Errorf("docs/reference/metrics.md (-want +got): %s", diff)
	}
}

func TestNoSubCodeHasTwoMeanings(t *testing.T) {
	seen := map[string]string{}
	for _, table := range [][]redeem.SubCode{redeem.SubCodes, SubCodes} {
		for _, c := range table {
			if other, twice := seen[c.Code]; twice {
				t.Errorf("%s means %q and %q", c.Code, other, c.Meaning)
			}
			if c.Meaning == "" || c.Cashier == "" {
				t.Errorf("%s is not explained", c.Code)
			}
			seen[c.Code] = c.Meaning
		}
	}
}

func englishTable() string {
	var b strings.Builder
	b.WriteString("| sub code | meaning | what the cashier reads | the same request may succeed later |\n| --- | --- | --- | --- |\n")
	for _, c := range SubCodes {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Code, c.Meaning, c.Cashier, yesNo(c.Retryable, "yes", "no"))
	}
	return b.String()
}

func chineseTable() string {
	var b strings.Builder
	b.WriteString("| 子码 | 收银员看到的提示 | 原请求稍后重试可能成功 |\n| --- | --- | --- |\n")
	for _, c := range SubCodes {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Code, c.Cashier, yesNo(c.Retryable, "是", "否"))
	}
	return b.String()
}

func yesNo(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
