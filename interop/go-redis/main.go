// redsync and bsm/redislock as peers: see ../README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

const (
	retryDelay = 50 * time.Millisecond
	// Of what is measured.
	ttl = 30 * time.Second
)

// library takes a lock and answers how to give it back, which says whether it was still held; errBusy when it is taken.
type library func(name string, ttl, wait time.Duration) (unlock func() (bool, error), err error)

var errBusy = errors.New("busy")

func withRedsync(client *redis.Client) library {
	locks := redsync.New(goredis.NewPool(client))
	return func(name string, ttl, wait time.Duration) (func() (bool, error), error) {
		tries := redsync.WithTries(1 + int(wait/retryDelay))
		mutex := locks.NewMutex(name, redsync.WithExpiry(ttl), tries, redsync.WithRetryDelay(retryDelay))
		var taken *redsync.ErrTaken
		if err := mutex.Lock(); errors.As(err, &taken) || errors.Is(err, redsync.ErrFailed) {
			return nil, errBusy
		} else if err != nil {
			return nil, err
		}
		return func() (bool, error) {
			released, err := mutex.Unlock()
			if errors.As(err, &taken) {
				return false, nil
			}
			return released, err
		}, nil
	}
}

func withRedislock(client *redis.Client) library {
	locks := redislock.New(client)
	return func(name string, ttl, wait time.Duration) (func() (bool, error), error) {
		ctx, cancel := context.WithTimeout(context.Background(), wait+time.Minute)
		defer cancel()
		retry := redislock.LimitRetry(redislock.LinearBackoff(retryDelay), int(wait/retryDelay))
		lock, err := locks.Obtain(ctx, name, ttl, &redislock.Options{RetryStrategy: retry})
		if errors.Is(err, redislock.ErrNotObtained) {
			return nil, errBusy
		} else if err != nil {
			return nil, err
		}
		return func() (bool, error) {
			err := lock.Release(context.Background())
			if errors.Is(err, redislock.ErrLockNotHeld) {
				return false, nil
			}
			return true, err
		}, nil
	}
}

type peer struct {
	lock library
	// The same with a client of its own.
	other library
	locks map[string]func() (bool, error)
}

func (p *peer) acquire(name, ttl, wait string) (string, error) {
	var ms [2]time.Duration
	for at, text := range []string{ttl, wait} {
		number, err := strconv.Atoi(text)
		if err != nil {
			return "", err
		}
		ms[at] = time.Duration(number) * time.Millisecond
	}
	unlock, err := p.lock(name, ms[0], ms[1])
	if errors.Is(err, errBusy) {
		return "busy", nil
	} else if err != nil {
		return "", err
	}
	p.locks[name] = unlock
	return "granted", nil
}

func (p *peer) release(name string) (string, error) {
	released, err := p.locks[name]()
	delete(p.locks, name)
	if err != nil {
		return "", err
	}
	if released {
		return "released", nil
	}
	return "gone", nil
}

// pairs locks and unlocks a number of times, by so many goroutines with a lock each, and says how many nanoseconds that took.
func (p *peer) pairs(name, times, tasks string) (string, error) {
	n, err := strconv.Atoi(times)
	if err != nil {
		return "", err
	}
	many, err := strconv.Atoi(tasks)
	if err != nil {
		return "", err
	}
	begin := time.Now()
	done := make(chan error, many)
	for task := 0; task < many; task++ {
		own := name + "-" + strconv.Itoa(task)
		go func() { done <- p.take(own, n) }()
	}
	for task := 0; task < many; task++ {
		if err := <-done; err != nil {
			return "", err
		}
	}
	return "took " + strconv.FormatInt(time.Since(begin).Nanoseconds(), 10), nil
}

func (p *peer) take(name string, times int) error {
	for i := 0; i < times; i++ {
		unlock, err := p.lock(name, ttl, 0)
		if err != nil {
			return err
		}
		if _, err := unlock(); err != nil {
			return err
		}
	}
	return nil
}

// handovers says how long after one client begins to release another one, which waits, holds the lock.
func (p *peer) handovers(name, times string) (string, error) {
	n, err := strconv.Atoi(times)
	if err != nil {
		return "", err
	}
	took := "took"
	for turn := 0; turn < n; turn++ {
		waited, err := p.handOver(name, turn)
		if err != nil {
			return "", err
		}
		took += " " + strconv.FormatInt(waited.Nanoseconds(), 10)
	}
	return took, nil
}

func (p *peer) handOver(name string, turn int) (time.Duration, error) {
	unlock, err := p.lock(name, ttl, 0)
	if err != nil {
		return 0, err
	}
	type answer struct {
		at     time.Time
		unlock func() (bool, error)
		err    error
	}
	got := make(chan answer, 1)
	go func() {
		unlock, err := p.other(name, ttl, ttl)
		got <- answer{time.Now(), unlock, err}
	}()
	// Long enough to wait for sure, and no multiple of the interval of who polls.
	time.Sleep(time.Duration(120+37*turn%100) * time.Millisecond)
	begin := time.Now()
	if _, err := unlock(); err != nil {
		return 0, err
	}
	second := <-got
	if second.err != nil {
		return 0, second.err
	}
	_, err = second.unlock()
	return second.at.Sub(begin), err
}

func (p *peer) answer(words []string) (string, error) {
	switch {
	case len(words) == 3 && words[0] == "lock":
		return p.acquire(words[1], words[2], "0")
	case len(words) == 4 && words[0] == "wait":
		return p.acquire(words[1], words[2], words[3])
	case len(words) == 2 && words[0] == "unlock" && p.locks[words[1]] != nil:
		return p.release(words[1])
	case len(words) == 4 && words[0] == "pairs":
		return p.pairs(words[1], words[2], words[3])
	case len(words) == 3 && words[0] == "handovers":
		return p.handovers(words[1], words[2])
	}
	return "", errors.New("unknown")
}

func version(name string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if strings.Contains(dep.Path, "/"+name) {
				return dep.Version
			}
		}
	}
	return "unknown"
}

func main() {
	options := redis.Options{Addr: strings.TrimPrefix(os.Getenv("PEER_STORE"), "redis://")}
	libraries := map[string]func(*redis.Client) library{"redsync": withRedsync, "redislock": withRedislock}
	name := os.Args[1]
	open := func() library { return libraries[name](redis.NewClient(&options)) }
	p := peer{open(), open(), map[string]func() (bool, error){}}
	fmt.Println("ready", name, version(name))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 1 && words[0] == "quit" {
			return
		}
		answer, err := p.answer(words)
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answer)
	}
}
