//go:build never

// Package kubeedge names the programs of KubeEdge that are built by package path, so that the module's list of
// dependencies stays whole when it is tidied.
package kubeedge

import (
	_ "github.com/kubeedge/kubeedge/cloud/cmd/cloudcore"
	_ "github.com/kubeedge/kubeedge/cloud/cmd/controllermanager"
	_ "github.com/kubeedge/kubeedge/edge/cmd/edgecore"
)
