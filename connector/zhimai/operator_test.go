// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"testing"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

func TestANameGoesWithItsOperator(t *testing.T) {
	operators := map[string]Operator{"1543": {ID: 7, Name: "李四"}, "1544": {ID: 8}}
	desk := Options{OperatorID: ptr(9), OperatorName: "收银台"}
	cases := map[string]struct {
		options         Options
		planned, sentBy string // Keruyun's operatorId when it was planned, and of the request that sends it
		want            string
	}{
		"mapped with a name":                                  {desk, "1543", "1543", "李四"},
		"mapped without a name":                               {desk, "1544", "1544", "张三丰"},
		"not mapped, the brand's own":                         {desk, "1", "1", "收银台"},
		"not mapped, sent again by another":                   {desk, "1", "1543", "收银台"},
		"not mapped, sent again by nobody":                    {desk, "1", "", "收银台"},
		"mapped, sent again by nobody":                        {desk, "1543", "", ""},
		"mapped, sent again by another":                       {desk, "1543", "1544", ""},
		"Keruyun's own":                                       {Options{}, "1", "1", "张三丰"},
		"Keruyun's own without a number":                      {Options{}, "op-1", "op-1", "张三丰"},
		"Keruyun's own, sent again by another":                {Options{}, "1", "2", ""},
		"Keruyun's own, sent again by one who is mapped":      {Options{}, "1", "1543", ""},
		"the brand's name for whoever it is":                  {Options{OperatorName: "收银台"}, "1", "1", "收银台"},
		"the brand's name for whoever it was, sent by nobody": {Options{OperatorName: "收银台"}, "1", "", "收银台"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := &Client{cfg: Config{Operators: operators, Options: tc.options}}
			got := c.operatorName(c.operatorID(tc.planned), redeem.Request{OperatorID: tc.sentBy, OperatorName: "张三丰"})
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
