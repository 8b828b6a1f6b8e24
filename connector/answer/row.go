// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"errors"
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Row is one line of a classification table.
type Row struct {
	Name   string       // short and unique in its table
	Answer string       // what came back, English, for the documentation
	Kind   redeem.Kind  // what is known
	Class  redeem.Class // the same finer, for metrics and logs
	Till   string       // Chinese, says the next step; %s is where the vendor's own text goes, in brackets
	Next   string       // what happens next, English, for the documentation
}

// What the till hears. Each says whether money moved and what to do.
const (
	TillExecuted = "核销成功"
	TillRefused  = "会员系统未受理%s，本次未扣款，请核对后重试或更换支付方式"
	TillNotSent  = "会员系统暂时无法连接，本次未扣款，请稍后重试"
	TillBusy     = "会员系统繁忙，本次未扣款，请稍后重试"
	TillConfig   = "会员系统对接配置有误，本次未扣款，请联系门店管理员"
	TillUnknown  = "核销结果确认中，请勿重复收款，请稍后查询核销结果"
)

// What happens next.
const (
	NextNothing = "nothing: final"
	NextRepeat  = "may be sent again: in the time budget, or when the till repeats the bizId"
	NextResolve = "never sent again by itself; the resolver finds out, or a person"
)

// Outcome of the row. message is the vendor's own text, already quoted; detail is
// English.
func (r Row) Outcome(httpStatus int, code, message, detail string) redeem.Outcome {
	if detail == "" {
		detail = r.Answer
	}
	return redeem.Outcome{
		Kind: r.Kind, Class: r.Class, Code: Code(code), Detail: detail,
		Cashier: fill(r.Till, message), HTTPStatus: httpStatus,
	}
}

// The rows of exchanges that brought no answer.
var (
	rowNotSent = Row{
		Name: "not-sent", Answer: "No connection, no secure connection, the lease was over, or the deadline passed before the first byte: no byte of the request was written",
		Kind: redeem.NotSent, Class: "<cause>", Till: TillNotSent, Next: NextRepeat,
	}
	rowLost = Row{
		Name: "lost", Answer: "The request (or part of it) was written, and no whole answer came: timeout, reset, close, cut or oversized body, not HTTP",
		Kind: redeem.Unknown, Class: "<cause>", Till: TillUnknown, Next: NextResolve,
	}
)

// rowRepeatRefused stands in for a refusal when the call was a repeat.
var rowRepeatRefused = Row{
	Name: "repeat-refused", Answer: "A refusal in answer to a repeat, unless `repeatRefusals` is Final: the first call may be the reason",
	Kind: redeem.Unknown, Class: "repeat-refused", Till: TillUnknown, Next: NextResolve,
}

// RepeatRow is part of the table of each vendor whose calls may be repeated.
func RepeatRow() Row { return rowRepeatRefused }

// TransportRows are part of every vendor's table.
func TransportRows() []Row { return []Row{rowNotSent, rowLost} }

// Transport classifies a failed exchange. What is not proven to be unsent is unknown.
func Transport(err error) redeem.Outcome {
	var e *oneshot.Error
	if !errors.As(err, &e) {
		o := rowLost.Outcome(0, "", "", "the exchange failed in an unforeseen way")
		o.Class = "unforeseen"
		return o
	}
	row := rowLost
	detail := "sent, no whole answer: " + string(e.Cause)
	if !e.Sent {
		row, detail = rowNotSent, "nothing sent: "+string(e.Cause)
		if e.Cause == oneshot.CauseDial || e.Cause == oneshot.CauseTLS {
			detail += ": " + e.Err.Error() // names the address; holds nothing of the request
		}
	}
	o := row.Outcome(e.Status, "", "", detail)
	o.Class = redeem.Class(e.Cause)
	if e.Cause == "" {
		o.Class = "unforeseen"
	}
	return o
}

// Unsent is the outcome of a call that could not even be made into a request.
func Unsent(err error) redeem.Outcome {
	return Transport(&oneshot.Error{Cause: oneshot.CauseRequest, Err: err})
}

// reversalTexts turns what the till hears of a redemption into what it hears of a
// reversal.
var reversalTexts = strings.NewReplacer(
	TillUnknown, "反核销结果确认中，请勿重复退款，请稍后查询反核销结果",
	TillExecuted, "反核销成功",
	"本次未扣款", "本次未退回",
	"请核对后重试或更换支付方式", "请核对后重试或联系门店管理员",
)

// Reversal is o in the words of a reversal.
func Reversal(o redeem.Outcome) redeem.Outcome {
	o.Cashier = reversalTexts.Replace(o.Cashier)
	o.Lines = slices.Clone(o.Lines)
	for i := range o.Lines {
		o.Lines[i].Cashier = reversalTexts.Replace(o.Lines[i].Cashier)
	}
	return o
}
