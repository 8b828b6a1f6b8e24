// SPDX-License-Identifier: Apache-2.0

package alsc

import "github.com/hexiao-dev/hexiao/connector/redeem"

// The request objects, each one form field; their fields are the vendor's. Values are
// fen.

type dedutReq struct { // param_dedut_open_req
	BizDate      string     `json:"biz_date,omitempty"`
	BrandID      string     `json:"brand_id,omitempty"`
	CardID       string     `json:"card_id,omitempty"`
	CustomerID   string     `json:"customer_id,omitempty"`
	OperatorID   string     `json:"operator_id"`
	OuterOrderID string     `json:"outer_order_id"`
	Remark       string     `json:"remark,omitempty"`
	RequestID    string     `json:"request_id"`
	ShopID       string     `json:"shop_id,omitempty"`
	Value        redeem.Fen `json:"value"`
	BizChannel   string     `json:"biz_channel"`
	OutBrandID   string     `json:"out_brand_id,omitempty"`
	OutShopID    string     `json:"out_shop_id,omitempty"`
	ExtInfo      string     `json:"ext_info,omitempty"`
}

type undedutReq struct { // param_undedut_open_req
	BrandID         string     `json:"brand_id,omitempty"`
	CardID          string     `json:"card_id,omitempty"`
	CustomerID      string     `json:"customer_id,omitempty"`
	NewOuterOrderID string     `json:"new_outer_order_id"`
	OperatorID      string     `json:"operator_id"`
	OuterOrderID    string     `json:"outer_order_id"`
	Remark          string     `json:"remark,omitempty"`
	RequestID       string     `json:"request_id"`
	ShopID          string     `json:"shop_id,omitempty"`
	Value           redeem.Fen `json:"value"` // always: left out it would be the whole order
	OutShopID       string     `json:"out_shop_id,omitempty"`
	OutBrandID      string     `json:"out_brand_id,omitempty"`
	BizChannel      string     `json:"biz_channel"`
}

type verifyReq struct { // param_property_verify_open_req
	BrandID       string   `json:"brand_id"`
	OperatorID    string   `json:"operator_id"`
	OuterOrderID  string   `json:"outer_order_id"`
	Point         int64    `json:"point,omitempty"`
	RequestID     string   `json:"request_id"`
	ShopID        string   `json:"shop_id"`
	VoucherIDList []string `json:"voucher_id_list,omitempty"`
	CustomerID    string   `json:"customer_id,omitempty"`
}

type refundReq struct { // param_property_refund_open_req
	BrandID         string   `json:"brand_id"`
	NewOuterOrderID string   `json:"new_outer_order_id"`
	OperatorID      string   `json:"operator_id"`
	OuterOrderID    string   `json:"outer_order_id"`
	RequestID       string   `json:"request_id"`
	ShopID          string   `json:"shop_id"`
	VoucherIDList   []string `json:"voucher_id_list,omitempty"`
	CustomerID      string   `json:"customer_id,omitempty"`
}

type flowReq struct { // param_query_recharge_account_flow_open_req
	BrandID      string `json:"brand_id,omitempty"`
	OutBrandID   string `json:"out_brand_id,omitempty"`
	OuterOrderID string `json:"outer_order_id"`
}

// params renders a leg's request object and names its form field; nil for an
// operation that is not one of ours. key is request_id and outer_order_id in one: the
// former is documented as the key of idempotency, the latter as unique.
func params(operation, key string, k call) (field string, object any) {
	value, points, vouchers := k.totals()
	switch operation {
	case Dedut:
		return "param_dedut_open_req", dedutReq{
			BizDate: k.BizDate, BrandID: k.BrandID, CardID: k.CardID, CustomerID: k.CustomerID, OperatorID: k.OperatorID,
			OuterOrderID: key, Remark: k.Remark, RequestID: key, ShopID: k.ShopID, Value: value,
			BizChannel: k.BizChannel, OutBrandID: k.OutBrandID, OutShopID: k.OutShopID, ExtInfo: k.ExtInfo,
		}
	case Undedut:
		return "param_undedut_open_req", undedutReq{
			BrandID: k.BrandID, CardID: k.CardID, CustomerID: k.CustomerID, NewOuterOrderID: key, OperatorID: k.OperatorID,
			OuterOrderID: k.Reverses, Remark: k.Remark, RequestID: key, ShopID: k.ShopID, Value: value,
			OutShopID: k.OutShopID, OutBrandID: k.OutBrandID, BizChannel: k.BizChannel,
		}
	case Verify:
		return "param_property_verify_open_req", verifyReq{
			BrandID: k.BrandID, OperatorID: k.OperatorID, OuterOrderID: key, Point: points, RequestID: key,
			ShopID: k.ShopID, VoucherIDList: vouchers, CustomerID: k.CustomerID,
		}
	case Refund:
		if k.Whole {
			// Without a list all is given back; whether a list leaves the points out is
			// not documented.
			vouchers = nil
		}
		return "param_property_refund_open_req", refundReq{
			BrandID: k.BrandID, NewOuterOrderID: key, OperatorID: k.OperatorID, OuterOrderID: k.Reverses, RequestID: key,
			ShopID: k.ShopID, VoucherIDList: vouchers, CustomerID: k.CustomerID,
		}
	}
	return "", nil
}
