// SPDX-License-Identifier: Apache-2.0

package zhimai

import "github.com/hexiao-dev/hexiao/connector/redeem"

// operatorID names Keruyun's operator to the vendor, whose operatorId is a number: as
// the brand maps him, else the brand's constant, else as he is if that is a
// number; nil: he is not named.
func (c *Client) operatorID(kry string) *int64 {
	if o, ok := c.cfg.Operators[kry]; ok {
		return &o.ID
	}
	if c.cfg.Options.OperatorID != nil {
		return c.cfg.Options.OperatorID
	}
	return number(kry)
}

// operatorName is the name that goes with id, the operator of the call as it was
// planned; empty: none does. It is personal: it is made when the call is sent, from the
// configuration and the request at hand, and is never kept. A request that sends a planned call
// again may come from another operator, or from nobody, and no name is better than
// another person's. The brand's constant name is not for those who are mapped.
func (c *Client) operatorName(id *int64, req redeem.Request) string {
	o, mapped := c.cfg.Operators[req.OperatorID]
	now := c.operatorID(req.OperatorID)
	same := now == id || now != nil && id != nil && *now == *id
	switch {
	case same && mapped && o.Name != "":
		return o.Name
	case same && mapped:
		return req.OperatorName
	case !same && c.isMapped(id):
		return ""
	case c.cfg.Options.OperatorName != "":
		return c.cfg.Options.OperatorName
	case same:
		return req.OperatorName
	}
	return ""
}

// isMapped says whether id is that of an operator whom the brand maps.
func (c *Client) isMapped(id *int64) bool {
	for _, o := range c.cfg.Operators {
		if id != nil && *id == o.ID {
			return true
		}
	}
	return false
}
