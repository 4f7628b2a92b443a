// link carries every site's uplink: one set of listening ports a site, each forwarded to a port in the cloud.
//
// It is told what to do over the unix socket link.sock in its working directory, one JSON object a line each way:
//
//	{"op":"open","site":"tc-001","targets":{"hub":"127.0.0.1:10000"}} -> {"ports":{"hub":34567,"images":34568}}
//	{"op":"set","site":"tc-001","cut":true}                           -> {}   (absent fields stay as they are)
//	{"op":"set","site":"tc-001","delayMs":100,"loss":0.05}            -> {}
//	{"op":"state"}                                                    -> {"sites":{"tc-001":{...}}}
//
// An answer with "error" names the thing and the next step. Opening a site again adds the targets it has not yet.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
)

const (
	socketName  = "link.sock"
	imageTarget = "images" // always there: the registry's end of the uplink, see registry.go
)

type request struct {
	Op      string            `json:"op"`
	Site    string            `json:"site"`
	Targets map[string]string `json:"targets"`
	change
}

type answer struct {
	Error string           `json:"error,omitempty"`
	Ports map[string]int   `json:"ports,omitempty"`
	Sites map[string]shape `json:"sites,omitempty"`
}

func main() {
	registry, err := serveImages()
	if err != nil {
		log.Fatalf("link: cannot serve image pulls on loopback: %v", err)
	}
	_ = os.Remove(socketName)
	listener, err := net.Listen("unix", socketName)
	if err != nil {
		log.Fatalf("link: cannot listen on %s: %v", socketName, err)
	}
	network := &network{registry: registry, sites: map[string]*site{}}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatalf("link: %v", err)
		}
		go converse(conn, network)
	}
}

func converse(conn net.Conn, network *network) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	answers := json.NewEncoder(conn)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			_ = answers.Encode(answer{Error: fmt.Sprintf("not a JSON object: %v", err)})
			continue
		}
		if err := answers.Encode(network.obey(asked)); err != nil {
			return
		}
	}
}

func (n *network) obey(asked request) answer {
	switch asked.Op {
	case "open":
		ports, err := n.open(asked.Site, asked.Targets)
		if err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Ports: ports}
	case "set":
		if err := n.set(asked.Site, asked.change); err != nil {
			return answer{Error: err.Error()}
		}
		return answer{}
	case "state":
		return answer{Sites: n.state()}
	default:
		return answer{Error: fmt.Sprintf("op %q is unknown: use open, set or state", asked.Op)}
	}
}
