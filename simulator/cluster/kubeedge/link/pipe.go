package main

import (
	"math/rand/v2"
	"net"
	"time"
)

const (
	segment     = 1448                   // bytes of payload in one TCP segment on an Ethernet path
	minimumRTO  = 200 * time.Millisecond // RFC 6298 as Linux does it (tcp_rto_min)
	chunkBytes  = 16 << 10
	queueChunks = 16 // bytes in flight are bounded: 256 KiB a direction, then the sender is slowed by TCP itself
)

type chunk struct {
	bytes   []byte
	arrived time.Time
}

// carry forwards one connection. While the link is cut nothing passes, not even the opening or the end of a
// connection; what the near side gave up before the far side ever heard of it is forgotten.
func (s *site) carry(near net.Conn, address string) {
	defer near.Close()
	outbound := read(near)
	held, alive := s.await(outbound)
	if !alive {
		return
	}
	far, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		go drain(outbound)
		return
	}
	defer far.Close()
	inbound := read(far)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.write(far, outbound, held)
	}()
	s.write(near, inbound, nil)
	<-sent
}

// await returns when bytes may pass, with what the near side has sent by then (bounded as any queue); not alive when
// the near side gave up meanwhile. Without this a box that tries again every few seconds would pile up connections.
func (s *site) await(outbound <-chan chunk) (held []chunk, alive bool) {
	passable, more := s.passable(), outbound
	for {
		select {
		case <-passable:
			return held, true
		case next, open := <-more:
			if !open {
				return nil, false
			}
			held = append(held, next)
			if len(held) == queueChunks {
				more = nil
			}
		}
	}
}

// read turns a connection into a bounded queue of chunks; the queue is closed at the connection's end.
func read(conn net.Conn) <-chan chunk {
	chunks := make(chan chunk, queueChunks)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, chunkBytes)
			count, err := conn.Read(buffer)
			if count > 0 {
				chunks <- chunk{bytes: buffer[:count], arrived: time.Now()}
			}
			if err != nil {
				return
			}
		}
	}()
	return chunks
}

// write delivers in order what was read on the other side, each chunk as late as the link makes it, then the end.
func (s *site) write(conn net.Conn, chunks <-chan chunk, held []chunk) {
	for _, next := range held {
		if !s.deliver(conn, next) {
			drain(chunks)
			return
		}
	}
	for next := range chunks {
		if !s.deliver(conn, next) {
			drain(chunks)
			return
		}
	}
	<-s.passable() // the end of a connection is news that has to pass as well
	if half, ok := conn.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

func (s *site) deliver(conn net.Conn, next chunk) bool {
	shape := s.now()
	delay := time.Duration(shape.DelayMs * float64(time.Millisecond))
	time.Sleep(time.Until(next.arrived.Add(delay)) + stall(len(next.bytes), delay, shape.Loss))
	<-s.passable()
	_, err := conn.Write(next.bytes)
	return err == nil
}

// stall is how long losses hold a chunk up. Every segment is lost with the given probability; a lost one is repeated
// after the retransmission time-out (the minimum plus one round trip), which doubles as long as the repetition is lost
// as well. All that follows waits, since TCP delivers in order.
func stall(bytes int, delay time.Duration, loss float64) time.Duration {
	var total time.Duration
	for range (bytes + segment - 1) / segment {
		timeout := minimumRTO + 2*delay
		for rand.Float64() < loss {
			total += timeout
			timeout = min(2*timeout, time.Minute)
		}
	}
	return total
}

// drain empties a queue whose bytes nobody wants any more, so that its reader comes to its end.
func drain(chunks <-chan chunk) {
	for range chunks {
		continue
	}
}
