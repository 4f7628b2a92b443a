package main

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// serveImages is the registry's end of an image pull. A box sends "pull SECONDS\n" and gets one byte each tenth of
// a second for so long, then "done\n". What counts is that every byte passes the site's uplink: a pull on a cut link
// makes no progress, and on a bad one it takes longer.
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
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	seconds, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(line), "pull "), 64)
	if err != nil {
		fmt.Fprintf(conn, "error: %q is no pull: send \"pull SECONDS\"\n", line)
		return
	}
	for range int(seconds * 10) {
		time.Sleep(100 * time.Millisecond)
		if _, err := conn.Write([]byte{'.'}); err != nil {
			return
		}
	}
	_, _ = conn.Write([]byte("done\n"))
}
