// Goroutines, signals, os/exec, timers, sockets, files and a little pressure on the collector.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	fmt.Println("== goroutines")
	var wg sync.WaitGroup
	results := make(chan int, 100)
	for i := 0; i < 500; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			time.Sleep(time.Duration(i%5) * time.Millisecond)
			results <- i
		}()
	}
	go func() { wg.Wait(); close(results) }()
	sum := 0
	for n := range results {
		sum += n
	}
	fmt.Println(sum)
	keep := [][]byte{}
	for i := 0; i < 2000; i++ {
		keep = append(keep, make([]byte, 10000))
		if len(keep) > 100 {
			keep = keep[50:]
		}
	}
	runtime.GC()
	var locked sync.WaitGroup
	for i := 0; i < 10; i++ {
		locked.Add(1)
		go func() { runtime.LockOSThread(); syscall.Getppid(); locked.Done() }()
	}
	locked.Wait()
	done := make(chan bool)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	spin := time.After(30 * time.Millisecond)
	<-spin
	done <- true
	fmt.Println("preempted", len(keep) > 0)

	fmt.Println("== signals")
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-c)
	func() {
		defer func() { fmt.Println(recover()) }()
		var p *int
		*p = 1
	}()

	fmt.Println("== processes")
	out, err := exec.Command("sh", "-c", "cat /dev/null; echo child; exit 3").CombinedOutput()
	fmt.Printf("%s%v\n", out, err)
	cmd := exec.Command("tr", "a-z", "A-Z")
	cmd.Stdin = strings.NewReader(strings.Repeat("go", 50000))
	out, err = cmd.Output()
	fmt.Println(len(out), string(out[:4]), err)
	cmd = exec.Command("sleep", "30")
	cmd.Start()
	cmd.Process.Kill()
	fmt.Println(cmd.Wait())
	_, err = exec.Command("/nosuch").Output()
	fmt.Println(err)
	for i := 0; i < 10; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); exec.Command("true").Run() }()
	}
	wg.Wait()

	fmt.Println("== sockets")
	l, err := net.Listen("unix", "go.sock")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	for i := 0; i < 20; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := net.Dial("unix", "go.sock")
			if err != nil {
				fmt.Println(err)
				return
			}
			go func() {
				io.WriteString(c, strings.Repeat("b", 100000))
				c.(*net.UnixConn).CloseWrite()
			}()
			body, err := io.ReadAll(c)
			if len(body) != 100000 {
				fmt.Println(len(body), err)
			}
		}()
	}
	wg.Wait()
	conn, _ := net.Dial("unix", "go.sock")
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	fmt.Println(err.(net.Error).Timeout())

	fmt.Println("== files")
	os.MkdirAll("x/y", 0755)
	f, _ := os.Create("x/y/z")
	w := bufio.NewWriter(f)
	for i := 0; i < 10000; i++ {
		fmt.Fprintln(w, i)
	}
	w.Flush()
	f.Sync()
	f.Seek(100, 0)
	line, _ := bufio.NewReader(f).ReadString('\n')
	st, _ := f.Stat()
	fmt.Println(line, st.Size(), st.Mode())
	_, err = os.Open("nosuch")
	fmt.Println(err, os.IsNotExist(err), os.RemoveAll("x"))
	m, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED)
	fmt.Println(string(m[:3]), err)
	os.Exit(7)
}
