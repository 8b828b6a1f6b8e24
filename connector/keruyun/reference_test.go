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
	b.WriteString("| 子码 | 含义 | 收银员看到的提示 | 原请求稍后重试可能成功 |\n| --- | --- | --- | --- |\n")
	for _, c := range SubCodes {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Code, chineseMeaning[c.Code], c.Cashier, yesNo(c.Retryable, "是", "否"))
	}
	return b.String()
}

// chineseMeaning is what SubCode.Meaning says, for the Chinese page alone.
var chineseMeaning = map[string]string{
	SubNotJSON:      "请求体不是一个 UTF-8 编码的 JSON 对象。",
	SubMissing:      "缺少必填字段。",
	SubMalformed:    "字段类型错误、过长，或含有控制字符。",
	SubAmount:       "金额或数量不是纯数字的整数，或为负数、零，或过大。",
	SubOtherBrand:   "`kryBrandId` 与路径中的品牌不一致。",
	SubDuplicateKey: "同一个 JSON 对象中有重复的键。",
	SubNoRecord:     "核销结果查询：这些单号从未核销过。",
	SubNoMember:     "会员查询：该品牌的供应商都不认识这位顾客。",
	SubIncomplete:   "会员查询：有一家供应商查询失败，其资产以 `FAIL` 状态列出，其他资产照常列出。",
	SubUnread:       "会员查询：一家供应商查询失败，其他供应商又不认识这位顾客，因此一切未知。",

	SubMalformedQuery: "公共参数缺失、重复或格式错误。",
	SubBodyUnread:     "请求体传输中断。",
	SubBadSignature:   "签名、`appKey`、`brandId` 或 `version` 不被接受。",
	SubStale:          "时间戳与连接器的时钟相差超过 300 秒。",
	SubUnknownPath:    "没有这个 SPI。",
	SubUnknownBrand:   "路径中的品牌不由本连接器服务。",
	SubMethod:         "请求方式不是 POST。",
	SubTooLarge:       "请求体超过 64 KiB。",
	SubMediaType:      "`Content-Type` 不是 UTF-8 编码的 `application/json`，或请求体经过压缩。",
	SubOverloaded:     "同时处理的请求过多。",
	SubDraining:       "本连接器正在停止。",
	SubInternal:       "连接器自身的缺陷；code 为 3000 时没有向供应商发出任何请求。",
}

func TestEverySubCodeHasAChineseMeaning(t *testing.T) {
	for _, c := range SubCodes {
		if chineseMeaning[c.Code] == "" {
			t.Errorf("%s is not explained in Chinese", c.Code)
		}
	}
	if len(chineseMeaning) != len(SubCodes) {
		t.Errorf("%d are explained in Chinese, and there are %d", len(chineseMeaning), len(SubCodes))
	}
}

func yesNo(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
