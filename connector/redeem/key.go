// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strconv"
)

// UpstreamKey is the identity under which a leg is known to its vendor: "HX" and 26
// upper-case letters and digits. It is a function of its arguments alone, so that no
// crash and no replica can send a leg under a second key.
func UpstreamKey(brandID string, action Action, bizID string, legNo int) string {
	return "HX" + digest("upstream", brandID, string(action), bizID, strconv.Itoa(legNo))
}

// FlowID is our own identity of a redemption: Keruyun's flowId, which comes back as
// thirdFlowNo. "F" and 26 upper-case letters and digits.
func FlowID(brandID string, action Action, bizID string) string {
	return "F" + digest("flow", brandID, string(action), bizID)
}

// compensationPrefix marks the bizId of a reversal that the engine makes by itself.
// No bizId of Keruyun's has it: Verify and Reverse refuse it.
const compensationPrefix = "hx-undo:"

// CompensationBizID names the reversal by which the engine undoes what a partly
// refused redemption had redeemed (partialFailure: Reverse).
func CompensationBizID(bizID string) string { return compensationPrefix + bizID }

// digest has 130 bits: two of ten thousand million keys meet with odds below 1 in 10^18.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		writePart(h, p)
	}
	return base32.StdEncoding.EncodeToString(h.Sum(nil))[:26]
}

// writePart writes a part behind its length: ("ab","c") and ("a","bc") differ.
func writePart(w interface{ Write([]byte) (int, error) }, p string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(p)))
	_, _ = w.Write(n[:]) // a hash never fails
	_, _ = w.Write([]byte(p))
}
