// npm redis-semaphore's Mutex as a peer: see ../README.md.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import { Mutex } from "redis-semaphore";

const client = new Redis(process.env.PEER_STORE);
const locks = new Map();

async function acquire(name, ttlMs, waitMs) {
  const acquireTimeout = Number(waitMs);
  // Its own renewal is off: a hold ends when the case says so.
  const settings = { lockTimeout: Number(ttlMs), retryInterval: 50, refreshInterval: 0 };
  const tries = acquireTimeout > 0 ? { acquireTimeout } : { acquireAttemptsLimit: 1 };
  const mutex = new Mutex(client, name, { ...settings, ...tries });
  if (!(await mutex.tryAcquire())) return "busy";
  locks.set(name, mutex);
  return "granted";
}

/** Its release answers nothing, so the key is compared before. */
async function release(name) {
  const mutex = locks.get(name);
  const held = (await client.get(`mutex:${name}`)) === mutex.identifier;
  await mutex.release();
  return held ? "released" : "gone";
}

const verbs = {
  lock: (name, ttlMs) => acquire(name, ttlMs, 0),
  wait: acquire,
  unlock: release,
};

await client.ping();
const { version } = createRequire(import.meta.url)("./node_modules/redis-semaphore/package.json");
console.log(`ready redis-semaphore ${version}`);
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...words] = line.split(" ");
  if (verb === "quit") break;
  try {
    console.log(await verbs[verb](...words));
  } catch (error) {
    console.log(`error ${error}`.replaceAll("\n", " "));
  }
}
client.disconnect();
