// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProvidersSpec configures the CRMs.
// +kubebuilder:validation:XValidation:rule="has(self.zhimai) || has(self.alsc)",message="configure at least one of spec.providers.zhimai and spec.providers.alsc"
type ProvidersSpec struct {
	// zhimai is Zhimai's V2 API.
	// +optional
	Zhimai *ZhimaiSpec `json:"zhimai,omitempty"`
	// alsc is Alibaba's ALSC CRM over the Taobao Open Platform.
	// +optional
	Alsc *AlscSpec `json:"alsc,omitempty"`
}

// ZhimaiSpec configures Zhimai's V2 API.
// +kubebuilder:validation:XValidation:rule="self.paymentToken != 'PayPassword' || self.inDoubt != 'ReplaySameBizID' || self.repeatRefusals != 'Final'",message="a call that is repeated carries no password, so its refusal says nothing of the first: paymentToken PayPassword with inDoubt ReplaySameBizID needs repeatRefusals Nothing"
type ZhimaiSpec struct {
	// endpoint is the URL of the API.
	// +optional
	// +kubebuilder:default="https://openapi.zvcms.com/api/v2"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.contains('@') && !self.contains('?') && !self.contains('#')",message="endpoint must be an http or https URL without user, query or fragment"
	Endpoint string `json:"endpoint,omitempty"`

	// credentialsSecretRef names a Secret with the keys openId, openKey and
	// grantCode.
	// +required
	CredentialsSecretRef LocalObjectReference `json:"credentialsSecretRef,omitempty,omitzero"`

	// inDoubt says how a redemption whose answer was lost becomes known. Manual: a
	// person decides. ReplaySameBizID: the same call again, for brands for which
	// Zhimai confirmed that a bizId is executed once. QueryBills: look it up in
	// user.wealth-bills by order number, for brands whose bills carry our bizId.
	// +optional
	// +kubebuilder:default=Manual
	InDoubt ZhimaiInDoubt `json:"inDoubt,omitempty"`

	// reversalAction is the Action that reverses a consume. It is not documented
	// for V2; ask Zhimai. Without it a reversal waits for a person.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._-]+$`
	ReversalAction string `json:"reversalAction,omitempty"`

	// signatureKeys is the spelling of the keys in the signed text.
	// +optional
	// +kubebuilder:default=LowerCamel
	SignatureKeys ZhimaiSignatureKeys `json:"signatureKeys,omitempty"`

	// refusedCodes are codes of `status: false` answers of which Zhimai confirmed
	// that nothing was done. Every other system failure leaves the outcome open.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	RefusedCodes []string `json:"refusedCodes,omitempty"`

	// rateLimitCodes are codes by which Zhimai says that a call came too fast and was
	// not executed; such a call may be made again.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	RateLimitCodes []string `json:"rateLimitCodes,omitempty"`

	// repeatRefusals says what a refusal of a repeated call tells of the first one.
	// Nothing: it stays in doubt, for the repeat may be refused because the first
	// was executed. Final: the first was refused as well.
	// +optional
	// +kubebuilder:default=Nothing
	RepeatRefusals RepeatRefusals `json:"repeatRefusals,omitempty"`

	// changeAmountUnit is the unit of change_recharge_amount and change_gift_amount
	// in the answers; it is not documented.
	// +optional
	// +kubebuilder:default=Yuan
	ChangeAmountUnit ZhimaiAmountUnit `json:"changeAmountUnit,omitempty"`

	// couponIDs says how couponsCardList is written: Text or Number.
	// +optional
	// +kubebuilder:default=Text
	CouponIDs ZhimaiCouponIDs `json:"couponIDs,omitempty"`

	// emptyFields says whether amount "0.00" and an empty couponsCardList are sent
	// where there is nothing to take. The document calls both required and asks for
	// at least one.
	// +optional
	// +kubebuilder:default=Omit
	EmptyFields ZhimaiEmptyFields `json:"emptyFields,omitempty"`

	// paymentToken says where Keruyun's paymentToken goes. None: nowhere.
	// PayPassword: into payPassword, if its paymentTokenType is PAYMENT_TOKEN or
	// empty. A chip card number (PHYSICAL_CHIP_CARD_NO) is no password and is never
	// sent to Zhimai; a token of any other type is refused.
	// +optional
	// +kubebuilder:default=None
	PaymentToken ZhimaiPaymentToken `json:"paymentToken,omitempty"`

	// couponCodes says what assetId of a coupon line is: CouponID, the member's
	// coupon, or ScanCode (type=1), which needs no member.
	// +optional
	// +kubebuilder:default=CouponID
	CouponCodes ZhimaiCouponCodes `json:"couponCodes,omitempty"`

	// consume sets the optional fields of communal.user.consume.
	// +optional
	Consume *ZhimaiConsume `json:"consume,omitempty"`

	// limits protect the provider and the till.
	// +optional
	// +kubebuilder:default:={}
	Limits ProviderLimits `json:"limits,omitempty,omitzero"`
}

// ZhimaiInDoubt is a strategy.
// +kubebuilder:validation:Enum=Manual;ReplaySameBizID;QueryBills
type ZhimaiInDoubt string

// Values of ZhimaiInDoubt.
const (
	ZhimaiInDoubtManual          ZhimaiInDoubt = "Manual"
	ZhimaiInDoubtReplaySameBizID ZhimaiInDoubt = "ReplaySameBizID"
	ZhimaiInDoubtQueryBills      ZhimaiInDoubt = "QueryBills"
)

// RepeatRefusals says what a refusal of a repeated call tells of the first one.
// +kubebuilder:validation:Enum=Nothing;Final
type RepeatRefusals string

// Values of RepeatRefusals.
const (
	RepeatRefusalsNothing RepeatRefusals = "Nothing"
	RepeatRefusalsFinal   RepeatRefusals = "Final"
)

// ZhimaiAmountUnit is a unit of money.
// +kubebuilder:validation:Enum=Yuan;Fen
type ZhimaiAmountUnit string

// Values of ZhimaiAmountUnit.
const (
	ZhimaiAmountUnitYuan ZhimaiAmountUnit = "Yuan"
	ZhimaiAmountUnitFen  ZhimaiAmountUnit = "Fen"
)

// ZhimaiCouponIDs is a JSON type.
// +kubebuilder:validation:Enum=Text;Number
type ZhimaiCouponIDs string

// Values of ZhimaiCouponIDs.
const (
	ZhimaiCouponIDsText   ZhimaiCouponIDs = "Text"
	ZhimaiCouponIDsNumber ZhimaiCouponIDs = "Number"
)

// ZhimaiEmptyFields says what happens to fields with nothing in them.
// +kubebuilder:validation:Enum=Omit;Send
type ZhimaiEmptyFields string

// Values of ZhimaiEmptyFields.
const (
	ZhimaiEmptyFieldsOmit ZhimaiEmptyFields = "Omit"
	ZhimaiEmptyFieldsSend ZhimaiEmptyFields = "Send"
)

// ZhimaiSignatureKeys is a spelling.
// +kubebuilder:validation:Enum=LowerCamel;Capitalized
type ZhimaiSignatureKeys string

// Values of ZhimaiSignatureKeys.
const (
	ZhimaiSignatureKeysLowerCamel  ZhimaiSignatureKeys = "LowerCamel"
	ZhimaiSignatureKeysCapitalized ZhimaiSignatureKeys = "Capitalized"
)

// ZhimaiPaymentToken is a destination of the payment token.
// +kubebuilder:validation:Enum=None;PayPassword
type ZhimaiPaymentToken string

// Values of ZhimaiPaymentToken.
const (
	ZhimaiPaymentTokenNone        ZhimaiPaymentToken = "None"
	ZhimaiPaymentTokenPayPassword ZhimaiPaymentToken = "PayPassword"
)

// ZhimaiCouponCodes says what a coupon line's assetId is.
// +kubebuilder:validation:Enum=CouponID;ScanCode
type ZhimaiCouponCodes string

// Values of ZhimaiCouponCodes.
const (
	ZhimaiCouponCodesCouponID ZhimaiCouponCodes = "CouponID"
	ZhimaiCouponCodesScanCode ZhimaiCouponCodes = "ScanCode"
)

// ZhimaiConsume holds constants of the brand for communal.user.consume. What is
// left out is not sent, or is taken from Keruyun's request where noted.
type ZhimaiConsume struct {
	// channel is `channel`, the account name.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Channel string `json:"channel,omitempty"`
	// groupID is `groupId`.
	// +optional
	// +kubebuilder:validation:Minimum=0
	GroupID *int64 `json:"groupID,omitempty"`
	// appType is `appType`.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	AppType string `json:"appType,omitempty"`
	// deviceSN is `deviceSn`; by default Keruyun's kryDeviceId.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	DeviceSN string `json:"deviceSN,omitempty"`
	// ip is `ip`, the terminal's address.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	IP string `json:"ip,omitempty"`
	// opType is `opType`.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OpType *int64 `json:"opType,omitempty"`
	// operatorID is `operatorId` of operators that spec.operators does not list; by
	// default Keruyun's operatorId when it is a number.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OperatorID *int64 `json:"operatorID,omitempty"`
	// operatorName is `operatorName` of operators that spec.operators does not list;
	// by default Keruyun's.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	OperatorName string `json:"operatorName,omitempty"`
	// productName is `productName`.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ProductName string `json:"productName,omitempty"`
	// reason is `reason`.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
	// remark is `remark`; by default Keruyun's order and payment numbers.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Remark string `json:"remark,omitempty"`
	// usePassword is `usePassword`.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	UsePassword string `json:"usePassword,omitempty"`
}

// AlscSpec configures Alibaba's ALSC CRM.
// +kubebuilder:validation:XValidation:rule="!has(self.chipCard) || self.chipCard != 'CardID' || (has(self.account) && self.account != 'Customer')",message="chipCard CardID needs account Card or CustomerAndCard: with Customer no card is named"
// +kubebuilder:validation:XValidation:rule="!has(self.chipCard) || self.chipCard != 'CardID' || !has(self.inDoubt) || self.inDoubt != 'ReplaySameRequestID'",message="chipCard CardID cannot go with inDoubt ReplaySameRequestID: the number is not kept, so the call cannot be repeated; use Query"
type AlscSpec struct {
	// endpoint is the URL of the Taobao Open Platform.
	// +optional
	// +kubebuilder:default="https://gw.api.taobao.com/router/rest"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.contains('@') && !self.contains('?') && !self.contains('#')",message="endpoint must be an http or https URL without user, query or fragment"
	Endpoint string `json:"endpoint,omitempty"`

	// credentialsSecretRef names a Secret with the keys appKey, appSecret and, if
	// the application needs authorisation, session.
	// +required
	CredentialsSecretRef LocalObjectReference `json:"credentialsSecretRef,omitempty,omitzero"`

	// signMethod is TOP's sign_method.
	// +optional
	// +kubebuilder:default=hmac-sha256
	SignMethod AlscSignMethod `json:"signMethod,omitempty"`

	// inDoubt says how a redemption whose answer was lost becomes known. Query: ask
	// alibaba.alsc.crm.recharge.account.flowdetail.get. ReplaySameRequestID: the
	// same call with the same request_id. Manual: a person decides.
	// +optional
	// +kubebuilder:default=Query
	InDoubt AlscInDoubt `json:"inDoubt,omitempty"`

	// repeatRefusals says what a refusal of a repeated call tells of the first one.
	// Nothing: it stays in doubt, for the repeat may be refused because the first
	// was executed. Final: the first was refused as well.
	// +optional
	// +kubebuilder:default=Nothing
	RepeatRefusals RepeatRefusals `json:"repeatRefusals,omitempty"`

	// notFoundCodes are result_codes and sub_codes by which a look-up says that there
	// is no such flow. Without them only a success without a flow says so.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	NotFoundCodes []string `json:"notFoundCodes,omitempty"`

	// brandID is ALSC's own id of the brand; points and coupons need it. By default the brand is named by
	// Keruyun's kryBrandId as out_brand_id.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	BrandID string `json:"brandID,omitempty"`

	// bizChannel is ALSC's biz_channel: KRY for Keruyun.
	// +optional
	// +kubebuilder:default=KRY
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	BizChannel string `json:"bizChannel,omitempty"`

	// operatorID is the operator to name when Keruyun's request has none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	OperatorID string `json:"operatorID,omitempty"`

	// account says what identifies the stored-value account. Customer: thirdMemberId
	// as customer_id. Card: the line's assetId as card_id. CustomerAndCard: both.
	// +optional
	// +kubebuilder:default=Customer
	Account AlscAccount `json:"account,omitempty"`

	// chipCard says what a paymentToken of the type PHYSICAL_CHIP_CARD_NO does.
	// Ignore: nothing. CardID: it is sent as card_id of the stored-value line in place
	// of assetId, for brands whose card_id is the number on the chip. The number is not
	// kept, so a call whose answer was lost cannot be repeated: CardID does not go with
	// inDoubt ReplaySameRequestID. A payment code (PAYMENT_TOKEN) has no place at ALSC.
	// +optional
	// +kubebuilder:default=Ignore
	ChipCard AlscChipCard `json:"chipCard,omitempty"`

	// remark is the remark of each deduction.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Remark string `json:"remark,omitempty"`

	// extInfo is sent as ext_info, a JSON object.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	ExtInfo map[string]string `json:"extInfo,omitempty"`

	// simplify asks TOP for answers without its wrappers.
	// +optional
	Simplify bool `json:"simplify,omitempty"`

	// limits protect the provider and the till.
	// +optional
	// +kubebuilder:default:={}
	Limits ProviderLimits `json:"limits,omitempty,omitzero"`
}

// AlscSignMethod is a sign_method.
// +kubebuilder:validation:Enum=md5;hmac;hmac-sha256
type AlscSignMethod string

// Values of AlscSignMethod.
const (
	AlscSignMD5        AlscSignMethod = "md5"
	AlscSignHMAC       AlscSignMethod = "hmac"
	AlscSignHMACSHA256 AlscSignMethod = "hmac-sha256"
)

// AlscInDoubt is a strategy.
// +kubebuilder:validation:Enum=Query;ReplaySameRequestID;Manual
type AlscInDoubt string

// Values of AlscInDoubt.
const (
	AlscInDoubtQuery               AlscInDoubt = "Query"
	AlscInDoubtReplaySameRequestID AlscInDoubt = "ReplaySameRequestID"
	AlscInDoubtManual              AlscInDoubt = "Manual"
)

// AlscAccount is what identifies an account.
// +kubebuilder:validation:Enum=Customer;Card;CustomerAndCard
type AlscAccount string

// Values of AlscAccount.
const (
	AlscAccountCustomer AlscAccount = "Customer"
	AlscAccountCard     AlscAccount = "Card"
	AlscAccountBoth     AlscAccount = "CustomerAndCard"
)

// AlscChipCard is what a chip card number does.
// +kubebuilder:validation:Enum=Ignore;CardID
type AlscChipCard string

// Values of AlscChipCard.
const (
	AlscChipCardIgnore AlscChipCard = "Ignore"
	AlscChipCardCardID AlscChipCard = "CardID"
)

// ProviderLimits protect a provider and the tills that wait for it.
type ProviderLimits struct {
	// requestsPerSecond is the rate of calls of one replica; 10 by default. Zhimai allows so
	// many; ALSC names no rate, and refuses calls for a while when there are too many.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	RequestsPerSecond int32 `json:"requestsPerSecond,omitempty"`
	// concurrency is the number of calls of one replica under way at once.
	// +optional
	// +kubebuilder:default=64
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Concurrency int32 `json:"concurrency,omitempty"`
	// lateAnswerWindow is how long an answer is waited for after the till was told
	// that the outcome is not known.
	// +optional
	// +kubebuilder:default="15s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('5m')",message="lateAnswerWindow must be between 1s and 5m"
	LateAnswerWindow *metav1.Duration `json:"lateAnswerWindow,omitempty"`
}
