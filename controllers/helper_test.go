// SPDX-License-Identifier: Apache-2.0

package controllers_test

import "k8s.io/apimachinery/pkg/runtime"

func raw(json string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(json)} }
