// Pairs of acquire and release on servers that vote: `node bench.mjs TASKS MILLISECONDS PORT…`. Prints pairs a second and
// the median and 99th percentile of a pair in microseconds.

import { Redis } from "ioredis";
import Redlock from "redlock";

const [tasks, span, ...ports] = process.argv.slice(2).map(Number);
const clients = ports.map((port) => new Redis(port, "127.0.0.1"));
const redlock = new Redlock(clients, { retryCount: 0 });
const pairs = [];

async function work(task, until) {
  while (performance.now() < until) {
    const begin = performance.now();
    const lock = await redlock.acquire([`node ${task}`], 30000);
    await lock.release();
    pairs.push((performance.now() - begin) * 1000);
  }
}

await Promise.all(clients.map((client) => client.ping()));
await work(0, performance.now() + 100);
pairs.length = 0;
const begin = performance.now();
await Promise.all(Array.from({ length: tasks }, (_, task) => work(task, begin + span)));
const seconds = (performance.now() - begin) / 1000;
pairs.sort((a, b) => a - b);
const at = (share) => pairs[Math.floor(pairs.length * share)].toFixed(0);
console.log(`${(pairs.length / seconds).toFixed(0)} ${at(0.5)} ${at(0.99)}`);
clients.forEach((client) => client.disconnect());
