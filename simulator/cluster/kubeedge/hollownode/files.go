package main

import (
	"os"
	"path/filepath"
	"strings"

	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
)

// boxFiles lets the kubelet work in the box's folder and nowhere else. Real files, because log files are what it counts
// restarts by; but /var/log/containers, where it keeps links for log collectors, belongs to the machine all boxes share.
type boxFiles struct {
	kubecontainer.RealOS
	folder string
}

func (f boxFiles) inside(path string) bool {
	return strings.HasPrefix(path, f.folder+string(filepath.Separator))
}

func (f boxFiles) Symlink(oldname, newname string) error {
	if !f.inside(newname) {
		return nil
	}
	return f.RealOS.Symlink(oldname, newname)
}

func (f boxFiles) Glob(pattern string) ([]string, error) {
	if !f.inside(pattern) {
		return nil, nil
	}
	return f.RealOS.Glob(pattern)
}

func (f boxFiles) Remove(path string) error {
	if !f.inside(path) {
		return nil
	}
	return f.RealOS.Remove(path)
}

func (f boxFiles) MkdirAll(path string, mode os.FileMode) error {
	if !f.inside(path) {
		return nil
	}
	return f.RealOS.MkdirAll(path, mode)
}
