// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of Hexiao.
const Group = "connect.hexiao.dev"

// KindBrandConnector is the kind of a BrandConnector object.
const KindBrandConnector = "BrandConnector"

// KindConnectorClass is the kind of a ConnectorClass object.
const KindConnectorClass = "ConnectorClass"

var (
	// GroupVersion of this package.
	GroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the types of this package.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &BrandConnector{}, &BrandConnectorList{}, &ConnectorClass{}, &ConnectorClassList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
