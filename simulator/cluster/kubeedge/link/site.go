package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"
)

// shape is what a site's uplink does to the bytes that pass, in both directions alike.
//
// Delay is one way: a round trip takes it twice. Loss is the share of segments that are lost on the way; since TCP
// repeats them, a loss is not seen as missing bytes but as a stall (see stall in pipe.go). There is no limit of
// bandwidth and no connection is ever reset by the link.
type shape struct {
	Cut     bool    `json:"cut"`
	DelayMs float64 `json:"delayMs"`
	Loss    float64 `json:"loss"`
}

// change carries only what is to be different; nil stays as it is.
type change struct {
	Cut     *bool    `json:"cut"`
	DelayMs *float64 `json:"delayMs"`
	Loss    *float64 `json:"loss"`
}

type network struct {
	mutex    sync.Mutex
	registry string // address that answers image pulls
	sites    map[string]*site
}

type site struct {
	mutex  sync.Mutex
	shape  shape
	healed chan struct{} // closed while bytes may pass; replaced by an open one when the link is cut
	ports  map[string]int
}

func (n *network) open(name string, targets map[string]string) (map[string]int, error) {
	if name == "" {
		return nil, errors.New("open: site is empty: name the site")
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	opened, known := n.sites[name]
	if !known {
		passing := make(chan struct{})
		close(passing)
		opened = &site{healed: passing, ports: map[string]int{}}
		n.sites[name] = opened
	}
	wanted := map[string]string{imageTarget: n.registry}
	maps.Copy(wanted, targets)
	for target, address := range wanted {
		if _, there := opened.ports[target]; there {
			continue
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("open: site %q, target %q: %w", name, target, err)
		}
		opened.ports[target] = listener.Addr().(*net.TCPAddr).Port
		go opened.serve(listener, address)
	}
	return maps.Clone(opened.ports), nil
}

func (n *network) set(name string, wanted change) error {
	n.mutex.Lock()
	found, known := n.sites[name]
	n.mutex.Unlock()
	if !known {
		return fmt.Errorf("set: site %q has no link: open it first", name)
	}
	if wanted.Loss != nil && (*wanted.Loss < 0 || *wanted.Loss > 0.9) {
		return fmt.Errorf("set: loss %v must lie between 0 and 0.9: to let nothing pass, cut the link", *wanted.Loss)
	}
	if wanted.DelayMs != nil && (*wanted.DelayMs < 0 || *wanted.DelayMs > 60_000) {
		return fmt.Errorf("set: delayMs %v must lie between 0 and 60000", *wanted.DelayMs)
	}
	found.become(wanted)
	return nil
}

func (n *network) state() map[string]shape {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	shapes := make(map[string]shape, len(n.sites))
	for name, one := range n.sites {
		shapes[name] = one.now()
	}
	return shapes
}

func (s *site) become(wanted change) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if wanted.DelayMs != nil {
		s.shape.DelayMs = *wanted.DelayMs
	}
	if wanted.Loss != nil {
		s.shape.Loss = *wanted.Loss
	}
	if wanted.Cut == nil || *wanted.Cut == s.shape.Cut {
		return
	}
	s.shape.Cut = *wanted.Cut
	if s.shape.Cut {
		s.healed = make(chan struct{})
	} else {
		close(s.healed)
	}
}

func (s *site) now() shape {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.shape
}

// passable is closed as long as bytes may pass.
func (s *site) passable() <-chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.healed
}

func (s *site) serve(listener net.Listener, address string) {
	for {
		near, err := listener.Accept()
		if err != nil {
			// Out of file descriptors or the like: the caller's connection waits in the backlog.
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go s.carry(near, address)
	}
}
