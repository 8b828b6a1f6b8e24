// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

func commonResult(success, inner string) string {
	return `{"biz_success":` + success + `,"result":` + inner + `,"result_code":"200","result_desc":"成功","result_view":""}`
}

// flow is the inner result of a spend; more are further fields.
func flow(more string) string {
	return `{"account_id":"7627347265","flow_id":"7862783618","flow_type":"DEDUT","outer_order_id":"` + key + `"` + more + `}`
}

const (
	split       = `,"order_value":-1000,"affected_property_list":{"recharge_account_property_open_info":[{"type":"GIFT","value":300},{"type":"REAL","value":500},{"type":"PRE","value":200}]}`
	splitSimple = `,"order_value":"-1000","affected_property_list":[{"type":"GIFT","value":"300"},{"type":"REAL","value":"500"},{"type":"PRE","value":"200"},{"type":"TOTAL","value":"1000"}]`
)

func executed(inner string) string { return wrapped(Dedut, commonResult("true", inner)) }

func failed(code, subCode, subMsg string) string {
	return `{"error_response":{"code":` + code + `,"msg":"Remote service error","sub_code":"` + subCode + `","sub_msg":"` + subMsg + `","request_id":"r"}}`
}

// Each case asks for 10 yuan (1000 fen) of stored value.
func TestWhatAnAnswerMeans(t *testing.T) {
	ok := told{redeem.Executed, "executed", "", "7862783618", 1000, 700, 300}
	whole := told{redeem.Executed, "executed", "", "7862783618", 1000, 1000, 0}
	mismatch := told{redeem.Executed, "amount-mismatch", "", "7862783618", 1000, 1000, 0}
	unknown := func(class redeem.Class, code string) told {
		return told{Kind: redeem.Unknown, Class: class, Code: code}
	}
	refused := func(class redeem.Class, code string) told {
		return told{Kind: redeem.Refused, Class: class, Code: code}
	}
	limited := told{Kind: redeem.NotSent, Class: "rate-limited", Code: "accesscontrol.limited-by-api-access-count"}
	tests := map[string]struct {
		status     int // 0: 200
		body       string
		want       told
		retryAfter time.Duration
	}{
		"executed, wrapped":                             {body: executed(flow(split)), want: ok},
		"executed, simplified":                          {body: `{"result":` + commonResult("true", flow(splitSimple)) + `,"request_id":"r"}`, want: ok},
		"executed, biz_success as text":                 {body: wrapped(Dedut, commonResult(`"true"`, flow(split))), want: ok},
		"executed, the result_code of a sibling":        {body: strings.Replace(executed(flow(split)), `"200"`, `"0"`, 1), want: ok},
		"executed, no split: all is real":               {body: executed(flow("")), want: whole},
		"executed, an empty split: all is real":         {body: executed(flow(`,"affected_property_list":{}`)), want: whole},
		"executed, no split but a total":                {body: executed(flow(`,"affected_property_list":[{"type":"TOTAL","value":1000}]`)), want: whole},
		"executed, a split with negative parts":         {body: executed(flow(`,"affected_property_list":[{"type":"GIFT","value":-300},{"type":"REAL","value":-700}]`)), want: ok},
		"executed, no outer_order_id":                   {body: executed(`{"flow_id":"7862783618"}`), want: whole},
		"executed, but another order_value":             {body: executed(flow(`,"order_value":-65`)), want: mismatch},
		"executed, but order_value is yuan":             {body: executed(flow(`,"order_value":"-10.00"`)), want: mismatch},
		"executed, but order_value is 1e3":              {body: executed(flow(`,"order_value":1e3`)), want: mismatch},
		"executed, but the split is less":               {body: executed(flow(`,"affected_property_list":[{"type":"GIFT","value":300}]`)), want: mismatch},
		"executed, but the total is another":            {body: executed(flow(`,"affected_property_list":[{"type":"REAL","value":1000},{"type":"TOTAL","value":999}]`)), want: mismatch},
		"executed, but the split is no list":            {body: executed(flow(`,"affected_property_list":"x"`)), want: mismatch},
		"executed, but a part is no number":             {body: executed(flow(`,"affected_property_list":[{"type":"REAL","value":"x"}]`)), want: mismatch},
		"refused by the business":                       {body: wrapped(Dedut, `{"biz_success":false,"result_code":"BALANCE_NOT_ENOUGH","result_desc":"余额不足"}`), want: refused("refused", "BALANCE_NOT_ENOUGH")},
		"refused by the business, simplified":           {body: `{"result":{"biz_success":"false","result":null,"result_code":"1001","result_view":"余额不足"}}`, want: refused("refused", "1001")},
		"refused, whatever the result_code says":        {body: wrapped(Dedut, `{"biz_success":false,"result_code":"200"}`), want: refused("refused", "200")},
		"refused, and yet a flow":                       {body: wrapped(Dedut, commonResult("false", flow(split))), want: unknown("contradiction", "200")},
		"success for another order":                     {body: executed(`{"flow_id":"1","outer_order_id":"X"}`), want: unknown("other-order", "200")},
		"success without a flow":                        {body: executed(`null`), want: unknown("undocumented", "200")},
		"success with an empty flow":                    {body: executed(`{}`), want: unknown("undocumented", "200")},
		"success with a flow that is true":              {body: executed(`true`), want: unknown("undocumented", "200")},
		"no biz_success":                                {body: wrapped(Dedut, `{"result":`+flow(split)+`,"result_code":"200"}`), want: unknown("undocumented", "200")},
		"biz_success 1":                                 {body: wrapped(Dedut, commonResult("1", flow(split))), want: unknown("undocumented", "200")},
		"the answer of another method":                  {body: wrapped(Undedut, commonResult("true", flow(split))), want: unknown("unreadable", "")},
		"an error, the caller's fault":                  {body: failed("50", "isv.invalid-parameter", "非法参数"), want: refused("refused", "isv.invalid-parameter")},
		"an error, the caller's fault, as XML":          {body: `<error_response><code>50</code><msg>Remote service error</msg><sub_code>isv.invalid-parameter</sub_code><sub_msg>非法参数</sub_msg></error_response>`, want: refused("refused", "isv.invalid-parameter")},
		"an error, the caller's fault with code 15":     {body: failed("15", "isv.balance-not-enough", ""), want: refused("refused", "isv.balance-not-enough")},
		"an error, the caller's fault with code 7":      {body: failed("7", "isv.user-limited", ""), want: refused("refused", "isv.user-limited")},
		"an error of the protocol with an isv sub_code": {body: failed("25", "isv.invalid-signature", ""), want: refused("configuration", "isv.invalid-signature")},
		"an error of the vendor's system":               {body: failed("50", "isp.remote-service-timeout", ""), want: unknown("system-failure", "isp.remote-service-timeout")},
		"an error of the vendor's system with code 7":   {body: failed("7", "isp.busy", ""), want: unknown("system-failure", "isp.busy")},
		"an error of the vendor's system with code 25":  {body: failed("25", "isp.busy", ""), want: unknown("system-failure", "isp.busy")},
		"limited":                                     {body: failed("7", limited.Code, "This ban will last for 3 more seconds"), want: limited, retryAfter: 3 * time.Second},
		"limited, code as text, one second":           {body: failed(`"7"`, limited.Code, "This ban will last for 1 more second"), want: limited, retryAfter: time.Second},
		"limited for very long":                       {body: failed("7", limited.Code, "This ban will last for 86400 more seconds"), want: limited, retryAfter: time.Hour},
		"limited, nobody knows for how long":          {body: failed("7", limited.Code, "App Call Limited"), want: limited},
		"limited, as XML":                             {body: `<error_response><code>7</code><sub_code>` + limited.Code + `</sub_code><sub_msg>This ban will last for 2 more seconds</sub_msg></error_response>`, want: limited, retryAfter: 2 * time.Second},
		"the signature is wrong":                      {body: `{"error_response":{"code":25,"msg":"Invalid signature"}}`, want: refused("configuration", "25")},
		"the session is missing":                      {body: `{"error_response":{"code":26,"msg":"Missing session"}}`, want: refused("configuration", "26")},
		"the first of the protocol's codes":           {body: `{"error_response":{"code":21}}`, want: refused("configuration", "21")},
		"the last of the protocol's codes":            {body: `{"error_response":{"code":"34"}}`, want: refused("configuration", "34")},
		"just before the protocol's codes":            {body: `{"error_response":{"code":20}}`, want: unknown("vendor-error", "20")},
		"just after the protocol's codes":             {body: `{"error_response":{"code":35}}`, want: unknown("vendor-error", "35")},
		"a code that is almost one of the protocol's": {body: `{"error_response":{"code":"25.0"}}`, want: unknown("vendor-error", "25.0")},
		"an error without sub_code":                   {body: `{"error_response":{"code":50,"msg":"Remote service error"}}`, want: unknown("vendor-error", "50")},
		"an error of another kind":                    {body: failed("15", "top.remote-connection-error", ""), want: unknown("vendor-error", "top.remote-connection-error")},
		"an error that only looks like the caller's":  {body: failed("50", "isvx", ""), want: unknown("vendor-error", "isvx")},
		"an empty error":                              {body: `{"error_response":{}}`, want: unknown("vendor-error", "")},
		"an error beside a result":                    {body: `{"error_response":{"code":25},"result":` + commonResult("true", flow("")) + `}`, want: unknown("unreadable", "25")},
		"two results":                                 {body: `{"result":` + commonResult("false", "null") + `,` + executed(flow(""))[1:], want: unknown("unreadable", "")},
		"a biz_success that stands twice":             {body: wrapped(Dedut, `{"biz_success":false,"biz_success":true,"result":`+flow("")+`}`), want: unknown("unreadable", "")},
		"a result as XML":                             {body: `<alibaba_alsc_crm_recharge_dedut_update_response><result><biz_success>true</biz_success></result></alibaba_alsc_crm_recharge_dedut_update_response>`, want: unknown("unreadable", "")},
		"an empty body":                               {body: "", want: unknown("empty", "")},
		"a page":                                      {body: "<html>502</html>", want: unknown("unreadable", "")},
		"a list":                                      {body: "[]", want: unknown("unreadable", "")},
		"cut":                                         {body: executed(flow(split))[:200], want: unknown("unreadable", "")},
		"an object without anything":                  {body: "{}", want: unknown("unreadable", "")},
		"success with HTTP 500":                       {status: 500, body: executed(flow(split)), want: unknown("http-status", "200")},
		"the caller's fault with HTTP 400":            {status: 400, body: failed("50", "isv.invalid-parameter", ""), want: unknown("http-status", "isv.invalid-parameter")},
		"a redirect":                                  {status: 302, body: "", want: unknown("http-status", "")},
	}
	seen := map[redeem.Class]bool{}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			status := tc.status
			if status == 0 {
				status = 200
			}
			g := serve(t, func(int, url.Values) (int, string) { return status, tc.body })
			c := client(t, g.URL, Config{}, Deps{})
			o := c.Send(t.Context(), sending(t, c, request(), value(0, 1000)))
			if diff := cmp.Diff(tc.want, tell(o)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if o.RetryAfter != tc.retryAfter {
				t.Errorf("got retry after %s, want %s", o.RetryAfter, tc.retryAfter)
			}
			if o.HTTPStatus != status || o.Cashier == "" || o.Detail == "" || strings.Contains(o.Cashier, "%") {
				t.Errorf("outcome is not complete: %+v", o)
			}
			if n := len(g.Got()); n != 1 {
				t.Errorf("the gateway saw %d requests, want 1", n)
			}
			seen[o.Class] = true
		})
	}
	gateway, flows, _ := Tables()
	for _, r := range append(gateway, flows...) {
		if !seen[r.Class] && r.Name != answer.RepeatRow().Name {
			t.Errorf("no case for row %s", r.Name)
		}
	}
}

// Each case asks for 5 points and the coupons A and B.
func TestWhatAnAnswerMeansForEachAsset(t *testing.T) {
	assets := func(success, point, a, b string) string {
		return wrapped(Verify, `{"biz_success":`+success+`,"result":{"point_success":`+point+`,"voucher_status_list":{"voucher_status_info":[{"success":`+a+
			`,"voucher_id":"A"},{"success":`+b+`,"voucher_id":"B"}]}},"result_code":"0","result_desc":"券已使用"}`)
	}
	lines := func(kinds ...redeem.Kind) []redeem.Kind { return kinds }
	tests := map[string]struct {
		body  string
		want  redeem.Kind
		class redeem.Class
		lines []redeem.Kind
	}{
		"all done":                        {assets("true", "true", "true", "true"), redeem.Executed, "executed", lines(redeem.Executed, redeem.Executed, redeem.Executed)},
		"all done, simplified":            {`{"result":{"biz_success":"true","result":{"point_success":"true","voucher_status_list":[{"success":"true","voucher_id":"B"},{"success":true,"voucher_id":"A"}]}}}`, redeem.Executed, "executed", lines(redeem.Executed, redeem.Executed, redeem.Executed)},
		"one coupon refused":              {assets("true", "true", "true", "false"), redeem.Executed, "partial", lines(redeem.Executed, redeem.Executed, redeem.Refused)},
		"points refused":                  {assets("true", "false", "true", "true"), redeem.Executed, "partial", lines(redeem.Refused, redeem.Executed, redeem.Executed)},
		"each refused":                    {assets("true", "false", "false", "false"), redeem.Refused, "refused", nil},
		"refused":                         {wrapped(Verify, `{"biz_success":false,"result_code":"1"}`), redeem.Refused, "refused", nil},
		"refused, and each refused":       {assets("false", "false", "false", "false"), redeem.Refused, "refused", nil},
		"refused, and yet one done":       {assets("false", "false", "true", "false"), redeem.Unknown, "contradiction", nil},
		"one not reported":                {assets("true", "null", "true", "true"), redeem.Unknown, "undocumented", nil},
		"nothing reported":                {wrapped(Verify, `{"biz_success":true,"result":{}}`), redeem.Unknown, "undocumented", nil},
		"another coupon reported":         {strings.ReplaceAll(assets("true", "true", "true", "true"), `"B"`, `"C"`), redeem.Unknown, "undocumented", nil},
		"one coupon reported in two ways": {strings.Replace(assets("true", "true", "true", "true"), `[{`, `[{"success":false,"voucher_id":"A"},{`, 1), redeem.Unknown, "undocumented", nil},
		"an error of the vendor's system": {failed("50", "isp.x", ""), redeem.Unknown, "system-failure", nil},
	}
	seen := map[string]bool{}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := serve(t, says(tc.body))
			c := client(t, g.URL, own(), Deps{})
			o := c.Send(t.Context(), sending(t, c, request(), points(0, 5), coupon(1, "A"), coupon(2, "B")))
			if o.Kind != tc.want || o.Class != tc.class {
				t.Errorf("got %s (%s), want %s (%s)", o.Kind, o.Class, tc.want, tc.class)
			}
			var kinds []redeem.Kind
			for _, l := range o.Lines {
				kinds = append(kinds, l.Kind)
				if refused := l.Kind == redeem.Refused; refused != (l.Total == 0 && l.Code != "") && l.Line != 0 {
					t.Errorf("line %+v", l)
				}
				if l.Cashier == "" {
					t.Errorf("the till hears nothing of line %d", l.Line)
				}
			}
			if diff := cmp.Diff(tc.lines, kinds); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			seen[string(o.Class)] = true
		})
	}
	_, _, rows := Tables()
	for _, r := range rows {
		if !seen[string(r.Class)] {
			t.Errorf("no case for row %s", r.Name)
		}
	}
}

// FuzzClassify holds what must be true of any bytes that the gateway may send: nothing
// panics, and nothing is executed but in the documented form.
func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		executed(flow(split)), executed(`null`), failed("7", "", "ban will last for 9 more seconds"), `<error_response><code>7</code></error_response>`,
		`{"result":` + commonResult("true", flow(splitSimple)) + `}`, `<html>`, ``, `[]`,
		wrapped(Verify, `{"biz_success":true,"result":{"point_success":true,"voucher_status_list":[{"success":true,"voucher_id":"A"}]}}`),
	} {
		f.Add(200, body)
	}
	f.Add(500, executed(flow(split)))
	value, assets := call{Lines: basket.Keep([]redeem.Line{value(0, 1000)})}, call{Lines: basket.Keep([]redeem.Line{points(0, 5), coupon(1, "A")})}
	f.Fuzz(func(t *testing.T, status int, body string) {
		for operation, k := range map[string]call{Dedut: value, Undedut: value, Verify: assets, Refund: assets} {
			r := decode(operation, status, []byte(body))
			x := exchange{operation: operation, key: key, call: k, reply: r}
			o := classify(x)
			switch o.Kind {
			case redeem.Executed:
				if status != 200 || r.failed != nil || r.result.Text("biz_success") != "true" || !r.result.Has("result") {
					t.Fatalf("%s executed by %q", operation, body)
				}
				if amount, _, _ := k.totals(); o.Total != amount || o.Total != o.Real+o.Gift || o.Real < 0 || o.Gift < 0 {
					t.Fatalf("amounts do not add up: %+v", o)
				}
			case redeem.Refused:
				if status != 200 || (r.failed == nil && r.result.Text("biz_success") != "false" && operation != Verify && operation != Refund) {
					t.Fatalf("%s refused by %q", operation, body)
				}
			case redeem.NotSent:
				if r.failed == nil || r.failed.Code != "7" {
					t.Fatalf("%s not sent by %q", operation, body)
				}
			}
			if len(o.Code) > 64 {
				t.Fatalf("code of %d bytes", len(o.Code))
			}
			if f := (&Client{}).judge(x); f.Verdict == redeem.Found && (r.result.Text("biz_success") != "true" || x.flow().Text("outer_order_id") != key) {
				t.Fatalf("%s found in %q", operation, body)
			}
		}
	})
}
