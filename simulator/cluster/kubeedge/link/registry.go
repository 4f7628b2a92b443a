package main

import (
	"bufio"
	"net"
	"time"
)

// serveImages is the registry's end of an image pull. A box asks for one layer after the other with the line "layer",
// each takes a tenth of a second to send, and it is answered with the line "ok". So a pull makes no progress on a cut
// link, and on a slow or lossy one it takes longer.
func serveImages() (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			go sendImage(conn)
		}
	}()
	return listener.Addr().String(), nil
}

func sendImage(conn net.Conn) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		time.Sleep(100 * time.Millisecond)
		if _, err := conn.Write([]byte("ok\n")); err != nil {
			return
		}
	}
}
