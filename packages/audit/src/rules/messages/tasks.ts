// Tasks of Celery, and where they are sent: by the name of their function (`send_receipt.delay(order.id)`).
//   QR2. A call is the sending of a task only where its name leads to a function that is decorated as one.

import type { CallSite, IndexedFile, Program } from '../../program/index.ts'
import { callsOf } from '../queries.ts'

const TASK = /(?:^|\.)(?:task|shared_task)$/
const SENDING = ['delay', 'apply_async']

function isTask({ facts }: IndexedFile, fn: number): boolean {
  return facts.blocks[fn]?.fn?.decorators.some(({ callee }) => TASK.test(callee.text)) === true
}

/** QR2. */
export function sendsTask(program: Program, { file, call: { callee } }: CallSite): boolean {
  const dot = callee.text.lastIndexOf('.')
  if (dot === -1 || !SENDING.includes(callee.text.slice(dot + 1))) return false
  const { file: path = '', name = '' } = program.definition(file, { ...callee, text: callee.text.slice(0, dot) }) ?? {}
  const own = program.file(path)
  return own !== undefined && isTask(own, own.functions.get(name) ?? -1)
}

/** Everywhere that tasks are sent by their name. */
export function sentTasks(program: Program): readonly CallSite[] {
  return callsOf(program, SENDING).filter((site) => sendsTask(program, site))
}
