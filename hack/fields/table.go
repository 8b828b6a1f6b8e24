// SPDX-License-Identifier: Apache-2.0

package fields

import (
	"fmt"
	"strings"
)

// Section is a table of the page: fields that travel together.
type Section struct {
	Title string
	// Wires are the structs and functions whose fields have their rows here.
	Wires []Wire
	// rows has a line for each field: name | where it goes or comes from | unit.
	rows string
}

// Row is a field.
type Row struct{ Field, Where, Unit string }

// Rows of the section, in order. A line that has not three columns is an error.
func (s Section) Rows() ([]Row, error) {
	var rows []Row
	for line := range strings.SplitSeq(strings.TrimSpace(s.rows), "\n") {
		columns := strings.Split(line, "|")
		if len(columns) != 3 {
			return nil, fmt.Errorf("%s: %q has %d columns, not 3", s.Title, line, len(columns))
		}
		rows = append(rows, Row{strings.TrimSpace(columns[0]), strings.TrimSpace(columns[1]), strings.TrimSpace(columns[2])})
	}
	return rows, nil
}

func wires(pkg string, names ...string) []Wire {
	var all []Wire
	for _, name := range names {
		all = append(all, Wire{pkg, name})
	}
	return all
}

// Ignored are structs and functions that look like a border and are none, and why.
var Ignored = map[Wire]string{
	{"zhimai", "call"}: "what the ledger keeps of a leg, see docs/design/ledger.md",
	{"alsc", "call"}:   "what the ledger keeps of a leg, see docs/design/ledger.md",
}

// Sections is the table.
var Sections = []Section{
	{"Keruyun: the query string of every call", wires("keruyun", "ParseParams"), `
appKey | held against key appKey of the Keruyun credentials; signed | text
brandId | held against spec.keruyun.brandID, else spec.brandID; signed | text
shopIdenty | in place of brandId; signed | digits
version | chooses the signature's rule; spec.keruyun.signatureVersions | 1.0 or 2.0
timestamp | at most 300 s from the connector's clock; signed | seconds, or 13 digits in milliseconds
sign | held against what the token makes of the others and, in 2.0, of the body | 64 hexadecimal digits
`},
	{"Keruyun: 会员及资产查询 (query), request", wires("keruyun", "DecodeMemberQuery", "brand"), `
queryType | by what the vendors look: Zhimai type, ALSC's field for it | word
queryValue | Zhimai identifierNumber; ALSC mobile, customer_id, physical_card_id or outer_id | text
mobile | stands in for an empty queryValue of type MOBILE | text
assetMappingId | shows the assets of this route alone | text
assetMappingType | shows stored value and points (BALANCE), vouchers (VOUCHER), or all | word
kryShopId | Zhimai multiMark, ALSC shop_id, by spec.shops | text
kryBrandId | must be the brand of the path | text
`},
	{"Keruyun: 会员资产核销 (verify), request", wires("keruyun", "DecodeVerify", "identities"), `
bizId | the idempotency key: ledger; the upstream keys are derived from it | text
kryTransOrderNo | ledger, fingerprint; Zhimai remark; result query | text
kryPaymentNo | ledger, fingerprint; Zhimai remark; result query | text
kryBrandId | must be the brand of the path | text
kryShopId | ledger, fingerprint; Zhimai multiMark, ALSC shop_id or out_shop_id, by spec.shops | text
kryMemberId | ledger, fingerprint | text
thirdMemberId | ledger, fingerprint; Zhimai customerId, ALSC customer_id | text
mobile | ledger, as a keyed hash | text
requestId | ledger | text
operatorId | ledger; Zhimai operatorId, ALSC operator_id, both by spec.operators | text
operatorName | Zhimai operatorName; not kept | text
kryDeviceId | Zhimai deviceSn | text
callInterface | nowhere | text
callMethod | nowhere | text
memberAssetsVerificationList | one line each: ledger, and the vendors' calls | list of 1 to 100
assetMappingId | chooses the route: kind of asset, vendor | text
assetId | ledger; ALSC card_id by spec.providers.alsc.account; of coupons Zhimai couponsCardList, ALSC voucher_id_list | text
verifyAmount | of stored value: ledger; Zhimai amount, ALSC value | fen
verifyCnt | of points: Zhimai points, ALSC point; of coupons 1 | points or pieces
paymentToken | a payment code: Zhimai payPassword by paymentToken; a chip card: ALSC card_id by chipCard; not kept | text
paymentTokenType | PAYMENT_TOKEN (as when empty) or PHYSICAL_CHIP_CARD_NO: what paymentToken is | word
`},
	{"Keruyun: 会员资产反核销 (reverse), request", wires("keruyun", "DecodeReverse"), `
kryRefundPaymentNo | ledger | text
thirdFlowNo | finds the redemption by its flowId | text
assetsReverseVerificationList | one line each: ledger, reserved on the original; the vendors' calls | list of 1 to 100
assetMappingId | finds the original's line, with assetId | text
assetId | finds the original's line, with assetMappingId | text
reverseVerifyAmount | of stored value: ledger; ALSC value | fen
reverseVerifyCnt | of points and coupons: ledger | points or pieces
`},
	{"Keruyun: 查询核销结果 (result), request", wires("keruyun", "DecodeResultQuery"), `
kryTransOrderNo | finds the redemption in the ledger | text
kryPaymentNo | finds the redemption in the ledger | text
action | finds a redemption or a reversal | VERIFY or REVERSE_VERIFY
`},
	{"Keruyun: every answer", wires("keruyun", "envelope", "result"), `
code | 0 judged, 3000 nothing was sent, 3001 not known | number
message | for the cashier, Chinese | text
messageUuid | the trace id of the request | 32 hexadecimal digits
result | left out where the code is not 0 | object
data | the SPI's own part | object
subCode | see docs/reference/sub-codes.md and member-spi.md | digits
subMsg | for the cashier, Chinese | text
success | everything that was asked for was done | boolean
`},
	{"Keruyun: query, answer", wires("keruyun", "memberData", "memberBasic", "asset", "held"), `
memberBasic | the guest, from the first vendor that knows each field | object
memberId | the vendors' ids; comes back as thirdMemberId | text
name | Zhimai username, ALSC name | text
gender | ALSC gender | MALE, FEMALE or empty
mobile | Zhimai mobile, ALSC mobile | text
birthday | Zhimai birthday, ALSC birthday | text, as the vendor writes it
email | Zhimai email, ALSC email | text
state | NORMAL | word
balanceAssetList | what each vendor says that the guest may spend | list
assetMappingId | the first mapping of the asset's route; comes back in verify | text
assetId | Zhimai cardNo, cardId or customerId; ALSC card_id, voucher_id or customer_id; comes back in verify | text
assetType | the route's asset | BALANCE, POINTS or VOUCHER
assetName | Zhimai cardName or title, ALSC title | text
kryBrandId | spec.brandID | text
status | SUCCESS: known; FAIL: not, and no amount is there | word
errorDescription | for the cashier, Chinese | text
errCode | SUCCESS, NO_MEMBER, the vendor's code, or NOT_READ | word
verifyTotalAmount | Zhimai totalBalance, ALSC balance | fen
verifyRealAmount | total less gift | fen
verifyGiftAmount | Zhimai giftBalance, ALSC gift | fen
verifyCnt | Zhimai totalPoints, ALSC available_point; 1 for a voucher | points or pieces
faceAmount | ALSC amount of a voucher; 0: not said | fen
minimumAmount | ALSC start_fee of a voucher; 0: not said | fen
validFrom | Zhimai beginAt, ALSC start_time | text, as the vendor writes it
validUntil | Zhimai endAt, ALSC end_time | text, as the vendor writes it
`},
	{"Keruyun: verify and reverse, answer", wires("keruyun", "verifyData", "line"), `
kryBrandId | the request's | text
kryShopId | the request's | text
kryTransOrderNo | the request's | text
kryPaymentNo | the request's | text
kryRefundPaymentNo | the reversal's | text
thirdFlowNo | the reversal's, when it was turned away | text
flowId | the ledger's number of it, derived from bizId | text
memberId | thirdMemberId of the request | text
memberName | from the vendor's answer, where it tells | text
verifyAssetsDetailList | the request's lines, in order | list
errorDescription | for the cashier, Chinese | text
assetMappingId | the request's line | text
assetId | the request's line | text
verifyTotalAmount | what was done of the line: real and gift | fen
verifyRealAmount | Zhimai change_recharge_amount; ALSC REAL and PRE | fen
verifyGiftAmount | Zhimai change_gift_amount; ALSC GIFT | fen
platformDiscountAmount | 0: no vendor tells | fen
platformCommissionAmount | 0: no vendor tells | fen
status | SUCCESS: done; FAIL: not done | word
errCode | SUCCESS, the vendor's code, or the sub code | text
`},
	{"Keruyun: result, answer", wires("keruyun", "resultData"), `
kryMemberId | from the ledger; the other fields are those of verify | text
action | the question's | VERIFY or REVERSE_VERIFY
`},
	{"Zhimai: every call", wires("zhimai", "envelope", "decode", "readVerdict"), `
OpenId | key openId of the credentials | text
GrantCode | key grantCode of the credentials | text
Timestamp | the connector's clock | seconds
Nonce | random, never the same twice | digits
Token | HMAC-SHA1 of the four above with key openKey, base64, URL-encoded | text
Action | the method | text
Params | the method's own part | object
status | answer, outside and in data: true, or the vendor's system failed | boolean, also as text
code | answer, outside and in data: 0 done, else refused; ledger, errCode | number, also as text
message | answer: part of the cashier's text, redacted | text
data | answer: the method's own part | object
`},
	{"Zhimai: communal.user.consume, sent", wires("zhimai", "consumeParams"), `
bizId | the leg's upstream key | HX and 26 characters
channel | spec.providers.zhimai.consume.channel | text
customerId | thirdMemberId | text
groupId | spec.providers.zhimai.consume.groupID | number
couponsCardList | assetId of the coupon lines; couponIDs, emptyFields | list of texts, or numbers
type | 1 where couponCodes is ScanCode and there are coupons | number
amount | verifyAmount of the stored-value lines, summed | yuan, two decimals
appType | spec.providers.zhimai.consume.appType | text
deviceSn | spec.providers.zhimai.consume.deviceSN, else kryDeviceId | text
ip | spec.providers.zhimai.consume.ip | text
opType | spec.providers.zhimai.consume.opType | number
operatorId | spec.operators, else spec.providers.zhimai.consume.operatorID, else operatorId where it is a number | number
operatorName | spec.operators, else spec.providers.zhimai.consume.operatorName, else operatorName; never kept | text
payPassword | paymentToken that is a payment code, where spec.providers.zhimai.paymentToken says so; never kept | text
productName | spec.providers.zhimai.consume.productName | text
reason | spec.providers.zhimai.consume.reason | text
remark | spec.providers.zhimai.consume.remark, else order and payment number | text
usePassword | spec.providers.zhimai.consume.usePassword | text
points | verifyCnt of the points lines, summed | points
multiMark | kryShopId, by spec.shops | text
`},
	{"Zhimai: communal.user.consume and reversal, answer", wires("zhimai", "changes", "contradicts", "settle"), `
bizId | ledger: a reversal goes by it | text
change_recharge_amount | verifyRealAmount; must add up with the next | yuan, or fen by changeAmountUnit
change_gift_amount | verifyGiftAmount | yuan, or fen by changeAmountUnit
`},
	{"Zhimai: the reversal (spec.providers.zhimai.reversalAction), sent", wires("zhimai", "reversalParams"), `
bizId | the one that the consume's answer returned | text
channel | as in the consume | text
customerId | as in the consume | text
groupId | as in the consume | number
operatorId | as in the consume, of the reversal | number
operatorName | as in the consume, of the reversal | text
reason | as in the consume | text
remark | as in the consume | text
multiMark | as in the consume | text
`},
	{"Zhimai: communal.user.gether-customer-info, sent", wires("zhimai", "memberParams"), `
identifierNumber | queryValue | text
type | queryType: 1 member id, 2 mobile, 3 card, 4 Alipay, 5 WeChat openid, 6 WeChat unionid | number
multiMark | kryShopId, by spec.shops | text
`},
	{"Zhimai: communal.user.gether-customer-info, answer", wires("zhimai", "readMember", "readBalance", "readPoints", "readCoupons"), `
customerId | memberId; assetId of points, and of stored value without a card | text
username | name | text
mobile | mobile | text
birthday | birthday | text
email | email | text
totalBalance | verifyTotalAmount | yuan
rechargeBalance | verifyRealAmount | yuan
giftBalance | verifyGiftAmount | yuan
cardNo | assetId of stored value | text
cardName | assetName | text
totalPoints | verifyCnt | points
couponList | a line each, unless it is used | list
cardId | assetId of a coupon | text
useStatus | 0: shown | number
title | assetName of a coupon | text
beginAt | validFrom | text
endAt | validUntil | text
`},
	{"Zhimai: user.wealth-bills, sent", wires("zhimai", "billsParams"), `
start_time | look-up: when the leg was sent, less an hour; reconciliation: the range | GMT+8
end_time | look-up: when the leg was sent, and an hour; reconciliation: the range | GMT+8
order_no | look-up: the leg's upstream key | text
user_id | look-up: the member | text
page_size | how many a page | number
page | from 1 | number
`},
	{"Zhimai: user.coupon-new-status, sent", wires("zhimai", "couponStatusParams"), `
customerId | look-up of a leg with coupons: the member | text
cardId | look-up of a leg with coupons: the coupon's assetId | text
`},
	{"Zhimai: user.coupon-new-status, answer", wires("zhimai", "readCouponState"), `
customerId | held against the member | text
cardId | held against the coupon's assetId | text
useStatus | 0: unused or given back; 1: redeemed, by whatever call; anything else tells neither | number
`},
	{"Zhimai: user.wealth-bills, answer", wires("zhimai", "readBill", "readBills", "readFlow", "readFlows"), `
reta_list | the flows | list
last_page | how many pages there are | number
total | how many flows there are | number
id | the flow's number: reconciliation | number
order_no | held against the upstream key | text
user_id | held against the member | text
change_amount | held against the leg's amount; its sign tells the direction | fen
change_recharge_amount | real part | fen
change_gift_amount | gift part | fen
created_at | reconciliation: when it was booked | GMT+8
`},
	{"ALSC: every call", wires("alsc", "decode", "success", "flow", "outcome"), `
method | the method | text
app_key | key appKey of the credentials | text
session | key session of the credentials | text
timestamp | the connector's clock | GMT+8
v | 2.0 | text
format | json | text
sign_method | spec.providers.alsc.signMethod | word
simplify | spec.providers.alsc.simplify | boolean
sign | over all other parameters, with key appSecret | hexadecimal
error_response | answer: the gateway's refusal or failure | object
code | answer of the gateway: ledger, errCode | number
sub_code | answer of the gateway: isv. refused, isp. not known; ledger, errCode | text
sub_msg | answer of the gateway: cashier's text, redacted; seconds of a ban | text
msg | answer of the gateway, when there is no sub_msg | text
biz_success | answer: done or refused | boolean
result | answer: the method's own part | object
result_code | answer: ledger, errCode | text
result_view | answer: part of the cashier's text, redacted | text
result_desc | answer, when there is no result_view | text
`},
	{"ALSC: alibaba.alsc.crm.recharge.dedut.update, sent", wires("alsc", "dedutReq"), `
biz_date | when the request arrived | GMT+8
brand_id | spec.providers.alsc.brandID | text
out_brand_id | kryBrandId, where brand_id is not configured | text
card_id | assetId, by spec.providers.alsc.account; with chipCard CardID paymentToken that is a chip card, never kept | text
customer_id | thirdMemberId, by spec.providers.alsc.account | text
operator_id | operatorId by spec.operators, else spec.providers.alsc.operatorID | text
outer_order_id | the leg's upstream key | HX and 26 characters
request_id | the leg's upstream key | HX and 26 characters
remark | spec.providers.alsc.remark | text
shop_id | spec.shops of kryShopId | text
out_shop_id | kryShopId, where spec.shops has none | text
value | verifyAmount of the line | fen
biz_channel | spec.providers.alsc.bizChannel | word
ext_info | spec.providers.alsc.extInfo | JSON as text
`},
	{"ALSC: dedut.update and undedut.update, answer", wires("alsc", "(variables)", "ours", "giftPart", "settleFlow"), `
flow_id | ledger: the vendor's number | text
outer_order_id | must be ours | text
order_value | must be what was asked for | fen
affected_property_list | the split | list
type | REAL and PRE are real, GIFT is gift, TOTAL must fit | word
value | of each type | fen
`},
	{"ALSC: alibaba.alsc.crm.recharge.undedut.update, sent", wires("alsc", "undedutReq"), `
brand_id | as in the deduction | text
out_brand_id | as in the deduction | text
card_id | as in the deduction; of a chip card not sent | text
customer_id | as in the deduction | text
new_outer_order_id | the reversal leg's upstream key | HX and 26 characters
request_id | the reversal leg's upstream key | HX and 26 characters
outer_order_id | the deduction's upstream key | HX and 26 characters
operator_id | operatorId of the reversal by spec.operators, else as in the deduction | text
remark | as in the deduction | text
shop_id | as in the deduction | text
out_shop_id | as in the deduction | text
value | reverseVerifyAmount; always, because without it all is given back | fen
biz_channel | as in the deduction | word
`},
	{"ALSC: alibaba.alsc.crm.recharge.account.flowdetail.get, sent", wires("alsc", "flowReq"), `
brand_id | spec.providers.alsc.brandID | text
out_brand_id | kryBrandId, where brand_id is not configured | text
outer_order_id | the upstream key of the leg that is looked up | HX and 26 characters
`},
	{"ALSC: account.flowdetail.get, answer", wires("alsc", "judge", "mismatch"), `
result | the flow; without one it is missing | object
result_code | of a refusal: missing only where notFoundCodes lists it | text
flow_id | ledger: the vendor's number | text
outer_order_id | held against the upstream key | text
order_value | held against the leg's amount; below zero is a deduction | fen
flow_type | DEDUT is a deduction | word
brand_id | held against the call | text
card_id | held against the call | text
customer_id | held against the call | text
`},
	{"ALSC: alibaba.alsc.crm.recharge.accountflows.get, sent", wires("alsc", "flowsReq"), `
brand_id | spec.providers.alsc.brandID | text
out_brand_id | kryBrandId, where brand_id is not configured | text
shop_id | spec.shops of the shop | text
out_shop_id | the shop, where spec.shops has none | text
start_time | begin of the reconciliation's range | GMT+8
end_time | its end | GMT+8
page_no | from 1 | number
page_size | how many a page | number
biz_channel | spec.providers.alsc.bizChannel | word
`},
	{"ALSC: accountflows.get, answer", wires("alsc", "flows", "readFlow", "readFlows"), `
biz_success | anything but true ends the reconciliation | boolean
result_code | what the reconciliation says then | text
result_list | the flows | list
total_size | how many there are; less is an error | number
deleted | counts as none | boolean
flow_id | the flow's number | text
outer_order_id | held against the upstream key | text
outer_pay_id | of a reversal: the number of what it gives back | text
flow_type | the direction, where it tells | word
order_value | held against the leg's amount; below zero is a deduction | fen
order_time | when it was booked | GMT+8
gmt_create | when there is no order_time | GMT+8
`},
	{"ALSC: alibaba.alsc.crm.open.customer.get, sent", wires("alsc", "customerReq"), `
brand_id | spec.providers.alsc.brandID | text
shop_id | spec.shops of kryShopId | text
mobile | queryValue of MOBILE | text
customer_id | queryValue of MEMBER_ID | text
physical_card_id | queryValue of CARD_NO | text
outer_type | wechat or alipay, of WECHAT_OPENID and ALIPAY_USER_ID | word
outer_id | queryValue of these two | text
`},
	{"ALSC: open.customer.get, answer", wires("alsc", "judgeMember", "readCustomer", "readCards", "readCard", "readPoints", "readVouchers"), `
biz_success | false: there is no such member | boolean
result | the member | object
result_code | of a refusal: the log | text
customer_open_info | the guest | object
customer_id | memberId; assetId of points | text
name | name | text
mobile | mobile | text
gender | 0 FEMALE, 1 MALE | number
birthday | birthday | text
email | email | text
card_open_info_list | the cards with stored value | list
card_id | assetId of stored value | text
card_type | MEMBER is shown where the brand spends by customer | word
status | a card: ACTIVED is shown; a voucher: unless it is spent | word
accounts | of a card, added up | list
balance | verifyTotalAmount | fen
gift | verifyGiftAmount | fen
point_account_open_info | the points | object
available_point | verifyCnt | points
voucher_open_info_list | the vouchers | list
voucher_id | assetId of a voucher | text
title | assetName | text
amount | faceAmount | fen
start_fee | minimumAmount | fen
start_time | validFrom | text
end_time | validUntil | text
`},
	{"ALSC: alibaba.alsc.crm.open.assert.verify, sent", wires("alsc", "verifyReq"), `
brand_id | spec.providers.alsc.brandID | text
shop_id | spec.shops of kryShopId | text
customer_id | thirdMemberId | text
operator_id | operatorId by spec.operators, else spec.providers.alsc.operatorID | text
outer_order_id | the leg's upstream key | HX and 26 characters
request_id | the leg's upstream key | HX and 26 characters
point | verifyCnt of the points lines, summed | points
voucher_id_list | assetId of the coupon lines | list of texts
`},
	{"ALSC: open.assert.verify and open.assert.refund, answer", wires("alsc", "assets", "settleAssets"), `
point_success | what became of the points | boolean
voucher_status_list | what became of each voucher | list
voucher_id | the voucher | text
success | what became of it | boolean
result_code | errCode of the lines that were refused | text
`},
	{"ALSC: alibaba.alsc.crm.open.assert.refund, sent", wires("alsc", "refundReq"), `
brand_id | as in the verification | text
shop_id | as in the verification | text
customer_id | as in the verification | text
operator_id | operatorId of the reversal by spec.operators, else as in the verification | text
new_outer_order_id | the reversal leg's upstream key | HX and 26 characters
request_id | the reversal leg's upstream key | HX and 26 characters
outer_order_id | the verification's upstream key | HX and 26 characters
voucher_id_list | assetId of the coupon lines; left out when all is given back | list of texts
`},
}
