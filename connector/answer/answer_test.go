// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

func TestParseTakesOneObjectThatCanBeReadInOneWay(t *testing.T) {
	tests := map[string]struct {
		body string
		ok   bool
	}{
		"an object":                {`{"a":1}`, true},
		"with white space":         {" {\"a\" : 1}\n", true},
		"with a byte order mark":   {"\ufeff{}", true},
		"names differ by case":     {`{"a":1,"A":2}`, true},
		"a name stands twice":      {`{"a":1,"a":1}`, false},
		"a name twice, escaped":    {`{"a":1,"\u0061":2}`, false},
		"something follows":        {`{} {}`, false},
		"a comma too many":         {`{"a":1,}`, false},
		"a list":                   {`[{}]`, false},
		"cut":                      {`{"a":1`, false},
		"cut in a value":           {`{"a":{"b":`, false},
		"no value":                 {`{"a"}`, false},
		"nothing":                  {``, false},
		"a name that is no string": {`{1:2}`, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tc.body))
			if (err == nil) != tc.ok || (err != nil && !errors.Is(err, ErrShape)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestValuesAreReadWhateverTheirType(t *testing.T) {
	o, err := Parse([]byte(`{"id":390962138708451328,"text":" a\u0062 ","yes":true,"yesText":"true","no":false,"one":1,"null":null,` +
		`"list":[1,"2"],"wrapped":{"item":[1]},"wide":{"a":[1],"b":[2]},"none":{},"object":{"a":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"id": "390962138708451328", "text": "ab", "yes": "true", "one": "1", "null": "", "list": "", "object": "", "absent": ""}
	for name, want := range texts {
		if got := o.Text(name); got != want {
			t.Errorf("text %s: got %q, want %q", name, got, want)
		}
	}
	flags := map[string]Flag{"yes": True, "yesText": True, "no": False, "one": Neither, "null": Neither, "absent": Neither, "list": Neither}
	for name, want := range flags {
		if got := o.Flag(name); got != want {
			t.Errorf("flag %s: got %v, want %v", name, got, want)
		}
	}
	lists := map[string]int{"list": 2, "wrapped": 1, "none": 0, "wide": -1, "text": -1, "null": -1, "absent": -1, "object": -1}
	for name, want := range lists {
		items, ok := o.List(name)
		if got := len(items); ok != (want >= 0) || (ok && got != want) {
			t.Errorf("list %s: got %d items, %v, want %d", name, got, ok, want)
		}
	}
	if o.Has("null") || o.Has("absent") || !o.Has("none") {
		t.Error("null or absent is there, or an empty object is not")
	}
}

func TestTransportSaysNotSentOnlyOnProof(t *testing.T) {
	tests := map[string]struct {
		err   error
		kind  redeem.Kind
		class redeem.Class
	}{
		"no connection":         {&oneshot.Error{Cause: oneshot.CauseDial, Err: errors.New("refused")}, redeem.NotSent, "dial"},
		"the guard said no":     {&oneshot.Error{Cause: oneshot.CauseGuard, Err: errors.New("x")}, redeem.NotSent, "guard"},
		"a timeout before":      {&oneshot.Error{Cause: oneshot.CauseTimeout, Err: errors.New("x")}, redeem.NotSent, "timeout"},
		"a timeout after":       {&oneshot.Error{Sent: true, Cause: oneshot.CauseTimeout, Err: errors.New("x")}, redeem.Unknown, "timeout"},
		"a reset":               {&oneshot.Error{Sent: true, Cause: oneshot.CauseLost, Err: errors.New("x")}, redeem.Unknown, "connection-lost"},
		"an error of elsewhere": {errors.New("x"), redeem.Unknown, "unforeseen"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := Transport(tc.err)
			if o.Kind != tc.kind || o.Class != tc.class || o.Cashier == "" || o.Detail == "" {
				t.Errorf("got %+v, want %s (%s)", o, tc.kind, tc.class)
			}
		})
	}
}

func TestAQuoteIsShortAndNobodys(t *testing.T) {
	tests := map[string]struct {
		text, want string
		hide       []string
	}{
		"words stay":               {text: "余额不足", want: "余额不足"},
		"short numbers stay":       {text: "余额不足 12.50 元", want: "余额不足 12.50 元"},
		"codes in letters stay":    {text: "isv invalid-parameter", want: "isv invalid-parameter"},
		"a mobile goes":            {text: "会员15012341111不存在", want: "会员***不存在"},
		"a masked mobile goes":     {text: "会员150****1111不存在", want: "会员***不存在"},
		"a card goes":              {text: "卡AB-123456无效", want: "卡***无效"},
		"what is to hide goes":     {text: "你好张三", want: "你好***", hide: []string{"", "张三"}},
		"lines become one":         {text: "a\n\tb\x00c", want: "a b c"},
		"much becomes little":      {text: strings.Repeat("长", 100), want: strings.Repeat("长", 60) + "…"},
		"broken UTF-8 is smoothed": {text: "a\xffb", want: "a b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Quote(tc.text, tc.hide...); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestACodeIsFitForMetrics(t *testing.T) {
	tests := map[string]string{
		"isv.invalid-parameter": "isv.invalid-parameter", "40012": "40012", "": "", "异常": "other", "a b": "other", "15012341111": "other",
		strings.Repeat("a", 70): strings.Repeat("a", 64),
	}
	for code, want := range tests {
		if got := Code(code); got != want {
			t.Errorf("%q: got %q, want %q", code, got, want)
		}
	}
}

func TestATillTextHasThePlaceForAQuote(t *testing.T) {
	r := Row{Till: TillRefused}
	if got, want := r.Outcome(200, "", "", "").Cashier, "会员系统未受理，本次未扣款，请核对后重试或更换支付方式"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := r.Outcome(200, "", "余额不足100%。", "").Cashier, "会员系统未受理（余额不足100%），本次未扣款，请核对后重试或更换支付方式"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAReversalSpeaksOfGivingBack(t *testing.T) {
	for _, till := range []string{TillExecuted, TillRefused, TillNotSent, TillBusy, TillConfig, TillUnknown} {
		o := Reversal(Row{Till: till}.Outcome(200, "", "券已失效", ""))
		if strings.Contains(o.Cashier, "扣款") || strings.Contains(o.Cashier, "收款") || strings.Contains(o.Cashier, "支付方式") {
			t.Errorf("the till hears %s", o.Cashier)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, body := range []string{`{"a":1}`, `{"a":{"b":[1,{"c":null}]}}`, `{"a":1,"a":2}`, `{"a":1e999}`, "\ufeff{}", `{`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		o, err := Parse([]byte(body))
		if err != nil {
			return
		}
		if !json.Valid([]byte(strings.TrimPrefix(body, "\ufeff"))) {
			t.Fatalf("took %q", body)
		}
		for name := range o {
			o.Text(name)
			o.Flag(name)
			o.List(name)
			o.Object(name)
		}
	})
}
