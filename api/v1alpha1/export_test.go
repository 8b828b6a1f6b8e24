// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// DefaultForClass fills what the schema leaves to a class.
func (b *BrandConnector) DefaultForClass() {
	for _, f := range b.Spec.Telemetry.defaulted() {
		f.fill()
	}
}
