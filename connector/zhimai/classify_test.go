// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const done10 = `{"status":"true","code":"0","message":"说明","data":{"status":"true","code":"0","message":"操作成功","bizId":"QM77","couponsCardList":"",` +
	`"gift_amount":"1.00","recharge_amount":"90.00","total_amount":"91.00","change_gift_amount":"2.00","change_recharge_amount":"8.00","storeBalance":"","shopBalance":""}}`

// Each case asks for 10 yuan of stored value.
func TestWhatAnAnswerMeans(t *testing.T) {
	executed := func(real, gift redeem.Fen) told {
		return told{redeem.Executed, "executed", "", "QM77", real + gift, real, gift}
	}
	mismatch := told{redeem.Executed, "amount-mismatch", "", "QM77", 1000, 1000, 0}
	unknown := func(class redeem.Class, code string) told {
		return told{Kind: redeem.Unknown, Class: class, Code: code}
	}
	refused := func(code string) told { return told{Kind: redeem.Refused, Class: "refused", Code: code} }
	data := func(fields string) string {
		return `{"status":true,"code":0,"data":{"status":true,"code":0,"bizId":"QM77"` + fields + `}}`
	}
	tests := map[string]struct {
		status int // 0: 200
		body   string
		cfg    Config
		want   told
	}{
		"executed, all texts as in the document's sample":  {body: done10, want: executed(800, 200)},
		"executed, the types of the document's table":      {body: data(`,"couponsCardList":[],"change_gift_amount":2,"change_recharge_amount":8.00`), want: executed(800, 200)},
		"executed, with a byte order mark":                 {body: "\ufeff" + done10, want: executed(800, 200)},
		"executed, changes reported as negative":           {body: data(`,"change_gift_amount":"-2.00","change_recharge_amount":"-8.00"`), want: executed(800, 200)},
		"executed, changes in fen where the brand says so": {body: data(`,"change_gift_amount":"200","change_recharge_amount":800`), cfg: Config{ChangeAmountsInFen: true}, want: executed(800, 200)},
		"executed, no split: all is real":                  {body: data(``), want: executed(1000, 0)},
		"executed, an empty split: all is real":            {body: data(`,"change_gift_amount":"","change_recharge_amount":null`), want: executed(1000, 0)},
		"executed, no gift":                                {body: data(`,"change_recharge_amount":"10.00"`), want: executed(1000, 0)},
		"executed, all gift":                               {body: data(`,"change_gift_amount":"10","change_recharge_amount":"0"`), want: executed(0, 1000)},
		"executed, but the split is less":                  {body: data(`,"change_gift_amount":"1.00","change_recharge_amount":"8.00"`), want: mismatch},
		"executed, but the split is in fen":                {body: data(`,"change_gift_amount":"200","change_recharge_amount":"800"`), want: mismatch},
		"executed, but the split has parts of a fen":       {body: data(`,"change_gift_amount":"2.001","change_recharge_amount":"8.00"`), want: mismatch},
		"executed, but the split is no number":             {body: data(`,"change_recharge_amount":"ten"`), want: mismatch},
		"executed, but the split is written 1e1":           {body: data(`,"change_recharge_amount":1e1`), want: mismatch},
		"executed without a bizId: ours stands in":         {body: `{"status":true,"code":0,"data":{"status":true,"code":0}}`, want: told{redeem.Executed, "executed", "", key, 1000, 1000, 0}},

		"refused outside":                               {body: `{"status": true, "code": "40012", "message": "余额不足"}`, want: refused("40012")},
		"refused outside, code a number":                {body: `{"status": "true", "code": 40012, "message": "余额不足"}`, want: refused("40012")},
		"refused outside, with data that says nothing":  {body: `{"status": true, "code": 40012, "data": []}`, want: refused("40012")},
		"refused outside, with our own bizId":           {body: `{"status": true, "code": 40012, "data": {"bizId":"` + key + `","change_gift_amount":"0.00"}}`, want: refused("40012")},
		"refused inside":                                {body: `{"status":true,"code":0,"data":{"status":true,"code":"40013","message":"券不可用"}}`, want: refused("40013")},
		"refused with a code in words":                  {body: `{"status": true, "code": "查询的信息不存在"}`, want: refused("other")},
		"refused with a number that may be a mobile":    {body: `{"status": true, "code": "15012341111"}`, want: refused("other")},
		"a system failure outside":                      {body: `{"status": false, "code": "50001", "message": "系统错误"}`, want: unknown("system-failure", "50001")},
		"a system failure inside":                       {body: `{"status":true,"code":0,"data":{"status":false,"code":"50001"}}`, want: unknown("system-failure", "50001")},
		"a system failure without a code":               {body: `{"status": "false"}`, want: unknown("system-failure", "")},
		"a system failure that is known to do nothing":  {body: `{"status": false, "code": 40101}`, cfg: Config{NotExecutedCodes: []string{"40101"}}, want: told{Kind: redeem.Refused, Class: "system-refused", Code: "40101"}},
		"such a code does not overrule success":         {body: done10, cfg: Config{NotExecutedCodes: []string{"0"}, RateLimitCodes: []string{"0"}}, want: executed(800, 200)},
		"a system failure beside success":               {body: strings.Replace(done10, `"true","code":"0","message":"说明"`, `"false","code":"40101"`, 1), cfg: Config{NotExecutedCodes: []string{"40101"}}, want: unknown("contradiction", "40101")},
		"called too fast, as a failure":                 {body: `{"status": false, "code": 42900}`, cfg: Config{RateLimitCodes: []string{"42900"}}, want: told{Kind: redeem.NotSent, Class: "rate-limited", Code: "42900"}},
		"called too fast, as a refusal":                 {body: `{"status": true, "code": "42900"}`, cfg: Config{RateLimitCodes: []string{"42900"}}, want: told{Kind: redeem.NotSent, Class: "rate-limited", Code: "42900"}},
		"called too fast, and yet amounts were taken":   {body: `{"status": true, "code": "42900","data":{"change_gift_amount":"1.00"}}`, cfg: Config{RateLimitCodes: []string{"42900"}}, want: unknown("contradiction", "42900")},
		"a refusal outside, success inside":             {body: strings.Replace(done10, `"code":"0","message":"说明"`, `"code":"40012"`, 1), want: unknown("contradiction", "40012")},
		"a refusal that took something":                 {body: `{"status":true,"code":0,"data":{"status":true,"code":9,"change_recharge_amount":"10.00"}}`, want: unknown("contradiction", "9")},
		"a refusal with a bizId that is not ours":       {body: `{"status":true,"code":0,"data":{"status":true,"code":9,"bizId":"QM77"}}`, want: unknown("contradiction", "9")},
		"success outside, data missing":                 {body: `{"status":true,"code":0}`, want: unknown("undocumented", "")},
		"success outside, data null":                    {body: `{"status":true,"code":0,"data":null}`, want: unknown("undocumented", "")},
		"success outside, data a list":                  {body: `{"status":true,"code":0,"data":[]}`, want: unknown("undocumented", "")},
		"success outside, nothing inside":               {body: `{"status":true,"code":0,"data":{"message":"ok"}}`, want: unknown("undocumented", "")},
		"success without a code":                        {body: `{"status":true,"data":{"status":true}}`, want: unknown("undocumented", "")},
		"success of another kind: 200":                  {body: `{"status":true,"code":200,"message":"ok"}`, want: unknown("undocumented", "200")},
		"success of another kind: 00":                   {body: `{"status":true,"code":"00"}`, want: unknown("undocumented", "00")},
		"success of another kind: 0.0":                  {body: `{"status":true,"code":0.0,"data":{"status":true,"code":0}}`, want: unknown("contradiction", "0.0")},
		"status 1":                                      {body: `{"status":1,"code":0,"data":{"status":1,"code":0}}`, want: unknown("undocumented", "0")},
		"status in capitals":                            {body: `{"Status":true,"Code":0,"Data":{"Status":true,"Code":0}}`, want: unknown("undocumented", "")},
		"an object without anything":                    {body: `{}`, want: unknown("undocumented", "")},
		"an empty body":                                 {body: "", want: unknown("empty", "")},
		"white space":                                   {body: " \n", want: unknown("empty", "")},
		"a page":                                        {body: "<html><body>502</body></html>", want: unknown("unreadable", "")},
		"a list":                                        {body: "[" + done10 + "]", want: unknown("unreadable", "")},
		"two answers":                                   {body: done10 + done10, want: unknown("unreadable", "")},
		"an answer and something else":                  {body: done10 + "x", want: unknown("unreadable", "")},
		"a verdict that stands twice":                   {body: `{"status":true,"code":1,"code":0,"data":{"status":true,"code":0}}`, want: unknown("unreadable", "")},
		"a verdict inside that stands twice":            {body: `{"status":true,"code":0,"data":{"status":true,"code":1,"code":0}}`, want: unknown("unreadable", "")},
		"a refusal with data that can be read two ways": {body: `{"status":true,"code":9,"data":{"bizId":"1","bizId":"2"}}`, want: unknown("unreadable", "9")},
		"cut":                                 {body: done10[:len(done10)-1], want: unknown("unreadable", "")},
		"success with HTTP 500":               {status: 500, body: done10, want: unknown("http-status", "")},
		"a refusal with HTTP 404":             {status: 404, body: `{"status":true,"code":40012}`, want: unknown("http-status", "40012")},
		"a redirect":                          {status: 307, body: "", want: unknown("http-status", "")},
		"too many requests, says the gateway": {status: 429, body: "", want: unknown("http-status", "")},
	}
	seen := map[string]bool{}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			status := tc.status
			if status == 0 {
				status = 200
			}
			v := serve(t, func(int, string) (int, string) { return status, tc.body })
			c := client(t, v.URL, tc.cfg, Deps{})
			o := c.Send(t.Context(), sending(t, c, request(), value(0, 1000)))
			got := tell(o)
			if got.Kind != redeem.Executed && got.Class == "http-status" && tc.want.Class == "http-status" {
				got.Code = tc.want.Code // what the body says is beside the point
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if o.HTTPStatus != status || o.Cashier == "" || o.Detail == "" || strings.Contains(o.Cashier, "%") {
				t.Errorf("outcome is not complete: %+v", o)
			}
			if len(v.Got()) != 1 {
				t.Errorf("the vendor saw %d requests, want 1", len(v.Got()))
			}
			seen[string(o.Class)] = true
		})
	}
	for _, r := range Rows() {
		if !seen[string(r.Class)] && r.Name != answer.RepeatRow().Name {
			t.Errorf("no case for row %s", r.Name)
		}
	}
}

func TestEachLineHearsItsShare(t *testing.T) {
	v := serve(t, says(done10))
	c := client(t, v.URL, Config{}, Deps{})
	o := c.Send(t.Context(), sending(t, c, request(), value(0, 300), coupon(1, "390962138708451328"), value(2, 700), points(3, 5)))
	want := []redeem.LineOutcome{
		{Line: 0, Kind: redeem.Executed, Cashier: answer.TillExecuted, Total: 300, Real: 300},
		{Line: 1, Kind: redeem.Executed, Cashier: answer.TillExecuted, Total: 500, Real: 500}, // the till's own figure
		{Line: 2, Kind: redeem.Executed, Cashier: answer.TillExecuted, Total: 700, Real: 500, Gift: 200},
		{Line: 3, Kind: redeem.Executed, Cashier: answer.TillExecuted},
	}
	if diff := cmp.Diff(want, o.Lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestTheTillHearsTheVendorsReason(t *testing.T) {
	v := serve(t, says(`{"status":true,"code":"40012","message":"会员15012341111(张三丰)余额不足。"}`))
	c := client(t, v.URL, Config{}, Deps{})
	o := c.Send(t.Context(), sending(t, c, request(), value(0, 1000)))
	if want := "会员系统未受理（会员***(***)余额不足），本次未扣款，请核对后重试或更换支付方式"; o.Cashier != want {
		t.Errorf("got %s, want %s", o.Cashier, want)
	}
}

// FuzzClassify holds what must be true of any bytes that a vendor may send: nothing
// panics, and nothing is executed but in the documented form.
func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		done10, `{"status":true,"code":"9"}`, `{"status":false}`, `{"status":true,"code":0,"data":{"status":true,"code":9}}`, `[]`, ``, `<html>`,
		`{"status":true,"code":0,"data":{"status":true,"code":0,"change_gift_amount":1e400}}`,
	} {
		f.Add(200, body)
	}
	f.Add(500, done10)
	k := call{Lines: basket.Keep([]redeem.Line{value(0, 1000), coupon(1, "7")})}
	f.Fuzz(func(t *testing.T, status int, body string) {
		r := decode(status, []byte(body))
		o := Config{}.classify(key, k, r)
		switch o.Kind {
		case redeem.Executed:
			root, err := answer.Parse([]byte(body))
			inner, _ := root.Object("data")
			if err != nil || status != 200 || root.Text("status") != "true" || root.Text("code") != "0" || inner.Text("status") != "true" || inner.Text("code") != "0" {
				t.Fatalf("executed by %q", body)
			}
			if o.Total != 1000 || o.Total != o.Real+o.Gift || o.Real < 0 || o.Gift < 0 {
				t.Fatalf("amounts do not add up: %+v", o)
			}
		case redeem.Refused:
			if status != 200 || !strings.Contains(body, "true") {
				t.Fatalf("refused by %q", body)
			}
		case redeem.NotSent:
			t.Fatalf("not sent by %q: no code is configured for that", body)
		}
		if len(o.Code) > 64 {
			t.Fatalf("code of %d bytes", len(o.Code))
		}
		readBills(r)
		_ = fmt.Sprint(o)
	})
}
