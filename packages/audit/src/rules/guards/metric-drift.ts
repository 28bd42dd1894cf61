// Gauges that are counted by hand and drift: up where something begins, down where it ends, and there is an end that is passed by.
//   MX1. A gauge is found only where it goes up beside a write that expires by itself; or where it goes down only if something is still kept, and that is removed elsewhere.

import type { Call } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

export const metricDrift: Rule = {
  meta: {
    id: 'metric-drift',
    category: 'observability',
    severity: 'low',
    title: 'A gauge that drifts',
    why: 'It only ever goes up a little: after weeks it says thousands where there are ten, and alarms and scaling that look at it are wrong.',
    remedies: [
      {
        priority: 'P3',
        text: 'Set the gauge from what is there when it is asked for (a collect function, the size of the map, a count in the store).',
        effort: 'XS',
      },
    ],
    sources: ['Prometheus: writing client libraries, gauge with a callback'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined) continue
      const moved = file.facts.calls.filter(
        (call) => /\.(?:inc|dec)$/.test(call.callee.text) && isGauge(program, path, call),
      )
      const ups = moved.filter(({ callee }) => lastName(callee) === 'inc')
      const downs = moved.filter(({ callee }) => lastName(callee) === 'dec')
      for (const up of ups) {
        const own = downs.filter(({ callee }) => receiverOf(callee.text) === receiverOf(up.callee.text))
        if (own.length === 0) continue
        const found = expiring(path, file, up, own) ?? passedBy(path, file, own)
        if (found !== undefined) yield found
      }
    }
  },
}

function receiverOf(text: string): string {
  return text.slice(0, text.lastIndexOf('.'))
}

function isGauge(program: Program, path: string, { callee, block }: Call): boolean {
  const made = program.created(path, { ...callee, text: receiverOf(callee.text) }, block)
  return (
    made !== undefined &&
    /(?:^|\.)(?:Gauge|UpDownCounter|createUpDownCounter|create_up_down_counter)$/.test(made.call.callee.text)
  )
}

const EXPIRING = /(?:^|\.)(?:setex|setEx|psetex|expire|pexpire|expireat)$/

function expiring(path: string, file: IndexedFile, up: Call, downs: readonly Call[]): Discovery | undefined {
  const fn = file.functionOf(up.block)
  const write =
    fn === -1
      ? undefined
      : contentsOf(file.facts, fn).calls.find((call) => EXPIRING.test(call.callee.text) || isExpiringSet(call))
  if (write === undefined) return undefined
  return {
    tier: 'review',
    evidence: [
      seenAt(path, up, 'counted up here'),
      ...downs.map((down) => seenAt(path, down, 'and down only where it is removed by hand')),
      seenAt(path, write, 'but it also ends by itself'),
    ],
    cause: `${receiverOf(up.callee.text)} of ${path}`,
    symbol: symbolOf(file.facts, up.block),
    symptom: `${receiverOf(up.callee.text)} says more and more than there is: what expires is never counted down.`,
    rootCause: 'It is counted by hand, and the store removes entries without telling.',
  }
}

function isExpiringSet({ callee, args, named }: Call): boolean {
  if (!/(?:redis|client|cache)\w*\.set$/i.test(callee.text)) return false
  return (
    args.some(
      (arg) =>
        (arg.kind === 'string' && /^(?:EX|PX)$/.test(arg.value)) ||
        (arg.kind === 'object' && arg.entries.some(([key]) => /^(?:EX|PX)$/.test(key))),
    ) || named.some(([key]) => key === 'ex' || key === 'px')
  )
}

/** Down only where `this.all.get(key)` still finds it, while another function of the class removes it from there. */
function passedBy(path: string, file: IndexedFile, downs: readonly Call[]): Discovery | undefined {
  const { blocks, assignments, calls } = file.facts
  for (const down of downs) {
    const branch = blocks[down.block]
    const fn = file.functionOf(down.block)
    const test = branch?.kind === 'branch' && branch.test?.kind === 'path' ? branch.test.path.text : undefined
    if (test === undefined) continue
    const bound = assignments.find(
      ({ target, block, value }) => target.text === test && file.functionOf(block) === fn && value.kind === 'call',
    )
    const read = bound?.value.kind === 'call' ? calls[bound.value.call] : undefined
    if (read === undefined || !read.callee.isOwn || lastName(read.callee) !== 'get') continue
    const kept = receiverOf(read.callee.text)
    const removal = calls.find(
      ({ callee, block }) =>
        callee.isOwn &&
        (callee.text === `${kept}.delete` || callee.text === `${kept}.clear`) &&
        file.classOf(block) === file.classOf(down.block) &&
        outermost(file, block) !== outermost(file, down.block),
    )
    if (removal === undefined) continue
    return {
      tier: 'review',
      evidence: [
        seenAt(path, removal, `removed from ${kept} here`),
        seenAt(path, down, `so that this no longer finds it, and does not count down`),
      ],
      cause: `${receiverOf(down.callee.text)} of ${path}`,
      symbol: symbolOf(file.facts, down.block),
      symptom: `${receiverOf(down.callee.text)} keeps what was removed all at once: it says more than there is.`,
      rootCause: `It is counted down only for what is still in ${kept}.`,
    }
  }
  return undefined
}

function outermost(file: IndexedFile, from: number): number {
  let found = file.functionOf(from)
  for (let at = found; at !== -1; at = file.functionOf(file.facts.blocks[at]?.parent ?? 0)) found = at
  return found
}
