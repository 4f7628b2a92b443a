package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// disk is what a power cut leaves: images that were pulled, and what was known of pods and their containers.
type disk struct {
	Images     map[string]*cri.Image            `json:"images"` // by reference
	Sandboxes  map[string]*cri.PodSandboxStatus `json:"sandboxes"`
	Containers map[string]*container            `json:"containers"`
	path       string
}

func readDisk(path string) (disk, error) {
	stored := disk{path: path}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return disk{}, err
	default:
		if err := json.Unmarshal(content, &stored); err != nil {
			return disk{}, fmt.Errorf("%s is broken (%w): delete it, the box then boots as after a re-image", path, err)
		}
	}
	stored.fill()
	return stored, nil
}

func (d *disk) fill() {
	if d.Images == nil {
		d.Images = map[string]*cri.Image{}
	}
	if d.Sandboxes == nil {
		d.Sandboxes = map[string]*cri.PodSandboxStatus{}
	}
	if d.Containers == nil {
		d.Containers = map[string]*container{}
	}
}

// boot finds containers of before the power cut ended with the code containerd gives those whose end nobody saw.
func (d *disk) boot(now time.Time) {
	for _, sandbox := range d.Sandboxes {
		sandbox.State = cri.PodSandboxState_SANDBOX_NOTREADY
	}
	for _, one := range d.Containers {
		if one.Status.State != cri.ContainerState_CONTAINER_EXITED {
			one.ended(now, 255, "Unknown")
		}
	}
}

// write replaces the file in one step: a power cut leaves the old content or the new, never half of it.
func (d *disk) write() error {
	content, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(d.path+".new", d.path)
}

// log writes one line of the container's output in the form the kubelet expects of a runtime.
func (c *container) log(line string) {
	file, err := os.OpenFile(c.Status.LogPath, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		klog.V(2).InfoS("no log of a container", "path", c.Status.LogPath, "reason", err)
		return
	}
	defer file.Close()
	fmt.Fprintf(file, "%s stdout F %s\n", time.Now().Format(time.RFC3339Nano), line)
}
