// Go's net and bufio: a goroutine for each connection, flushed when nothing more is at hand.
package main

import (
	"bufio"
	"bytes"
	"log"
	"net"
	"os"
)

const maxLine = 65536

func converse(connection net.Conn, echo bool) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 4096)
	writer := bufio.NewWriterSize(connection, 4096)
	for {
		line, err := readLine(reader)
		if err != nil {
			return
		}
		if echo {
			writer.Write(bytes.TrimRight(line, "\r\n"))
			writer.WriteString("\r\n")
		} else {
			writer.WriteString("+PONG\r\n")
		}
		if reader.Buffered() == 0 && writer.Flush() != nil {
			return
		}
	}
}

// readLine copies only a line that does not fit into the reader's buffer.
func readLine(reader *bufio.Reader) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return line, err
	}
	long := append([]byte(nil), line...)
	for err == bufio.ErrBufferFull && len(long) <= maxLine {
		line, err = reader.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

func main() {
	port, answer := os.Args[1], os.Args[2]
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go converse(connection, answer == "echo")
	}
}
