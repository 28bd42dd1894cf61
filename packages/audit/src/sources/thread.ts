// A thread that reads: it is handed one file after the other and answers each with its facts, as bytes that change hands without being copied.

import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '@ripstop/kernel'
import { writeCompact } from './compact.ts'
import { readOne } from './read-one.ts'
import type { Answer, Ready, ThreadData } from './threads.ts'

const { root } = workerData as ThreadData
const ready: Ready = 'ready'
parentPort?.postMessage(ready)

parentPort?.on('message', (file: string) => {
  const { facts, ...told } = readOne(root, file, systemClock)
  const bytes = facts === undefined ? undefined : writeCompact(facts)
  const answer: Answer = { ...told, bytes }
  parentPort?.postMessage(answer, bytes === undefined ? [] : [bytes.buffer as ArrayBuffer])
})
