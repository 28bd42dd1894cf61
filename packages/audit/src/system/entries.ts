// Where the world enters: routes, consumers of messages, timers, signals, start-up and shutdown. Of the frameworks that people use (Express, Fastify, Koa,
// Hono, Nest, Next, tRPC; FastAPI, Flask, Django, Starlette, aiohttp; Bull, KafkaJS, amqplib, Celery …).
// Every call is looked at once, by its last name; functions by their decorators; files by their names. What is mounted where is known only afterwards,
// so routes become entries at the end.
// Invariants:
//   EY1. A route has the path that a client calls it by, as far as mounts of the repository lead, and the handler that answers.
//   EY2. What is only called alike is none: a client's `get`, a map's `get`, a method named `process`.
//   EY3. Before a handler stand its own guards, those of its router and of what that is mounted in.
//   EY4. Whatever the repository, finding ends, and the order is that of files and lines.

import type { Call } from '../facts/facts.ts'
import { programOf } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import { CONSUMERS } from './consumers.ts'
import { ofNest, ofPythonDecorators } from './decorated.ts'
import type { Entry, Surroundings } from './entry.ts'
import { fileRoutes } from './file-routes.ts'
import { OCCASIONS } from './occasions.ts'
import { joinParams, Routers } from './routers.ts'
import { entryOfRoute, type Gathered } from './routes.ts'
import { JAVASCRIPT_ROUTES } from './routes-javascript.ts'
import { PYTHON_ROUTES, readDecorated } from './routes-python.ts'

export type { Entry } from './entry.ts'

const KEPT = new WeakMap<Repository['facts'], readonly Entry[]>()

/** Found once for a repository, and kept. In the order of files and lines. */
export function entriesOf({ facts }: Pick<Repository, 'facts'>): readonly Entry[] {
  const kept = KEPT.get(facts) ?? findEntries(facts)
  KEPT.set(facts, kept)
  return kept
}

function findEntries(facts: Repository['facts']): readonly Entry[] {
  const program = programOf(facts)
  const gathered: Gathered = { routers: new Routers(), routes: [], others: [] }
  for (const path of program.files) {
    const file = program.file(path)
    if (file === undefined) continue
    const around: Surroundings = { program, path, file }
    for (const call of file.facts.calls) readCall(gathered, around, call)
    readFunctions(gathered, around)
    gathered.others.push(...fileRoutes(around))
  }
  joinParams(gathered.routers)
  const order = new Map(program.files.map((path, index) => [path, index]))
  const at = ({ site }: Entry): number => order.get(site.file) ?? 0
  return [...gathered.routes.map(entryOfRoute), ...gathered.others].sort(
    (a, b) => at(a) - at(b) || a.site.call.line - b.site.call.line,
  )
}

function readCall(gathered: Gathered, around: Surroundings, call: Call): void {
  const { text } = call.callee
  const name = text.slice(text.lastIndexOf('.') + 1)
  const route = (around.path.endsWith('.py') ? PYTHON_ROUTES : JAVASCRIPT_ROUTES).get(name)
  if (route !== undefined) route(gathered, around, call)
  for (const finder of [CONSUMERS.get(name), OCCASIONS.get(name)])
    if (finder !== undefined) gathered.others.push(...finder(around, call))
}

function readFunctions(gathered: Gathered, around: Surroundings): void {
  const isPython = around.path.endsWith('.py')
  for (const [block, { fn }] of around.file.facts.blocks.entries()) {
    if (fn === undefined) continue
    if (!isPython) {
      if (fn.kind === 'method') gathered.others.push(...ofNest(around, block, fn))
    } else if (fn.decorators.length > 0) {
      readDecorated(gathered, around, block, fn)
      gathered.others.push(...ofPythonDecorators(around, block, fn))
    }
  }
}
