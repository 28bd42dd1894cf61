// A rig for durable delivery: two meshes on one Postgres (A: edge and work, B: work alone), receivers that misbehave on demand,
// publishers with a ledger, and everything that is done to them.

import { randomBytes } from 'node:crypto'
import { createSeededRandom } from '@ripstop/kernel'
import { startTestCluster, type TestCluster } from '../../packages/server/src/testing/postgres.ts'
import { dataOf } from '../mesh/client.ts'
import { createEmptyDatabase } from '../mesh/fixture.ts'
import { freezeMesh, signal, startMesh, type TestMesh, until } from '../mesh/harness.ts'
import { countMissing, judge, type Party, type Verdict } from './checker.ts'
import { CHANNELS, createShop, type Publishers, type PublishersOptions, startPublishers } from './publishers.ts'
import { type Receiver, startReceiver } from './receiver.ts'

export const TYPE = 'shop.order.placed'
/** Of every endpoint: answers that are late are so soon. */
export const DEADLINE_MS = 1_000
/** The shortest steps that are allowed, and enough of them that no fault of a run outlasts them. */
const RETRY_STEP_MS = 5_000
const RETRY_STEPS = 20
/** From the last heal until all is drained: a breaker's longest pause, retries, and a machine that others use too. */
const DRAINED_MS = 180_000

/** Receivers are on loopback, and both meshes open what either has sealed. */
const CONFIG = {
  egress: { allow: ['127.0.0.0/8'] },
  secrets: { master_key: randomBytes(32).toString('base64') },
}

/** Meshes, receivers and publishers on a database that is somewhere. */
export interface Flow extends AsyncDisposable {
  readonly seed: number
  readonly a: TestMesh
  /** Undefined: the rig has one mesh. */
  readonly b: TestMesh | undefined
  readonly parties: readonly Party[]
  readonly publishers: Publishers
  /** False: there was none, or its mesh is frozen. */
  killWork(mesh: TestMesh): Promise<boolean>
  killEdge(): Promise<boolean>
  /** Everything of a mesh stops where it is, its supervisor too, which would replace it. */
  freeze(mesh: TestMesh): Promise<() => void>
  /** ms until every receiver has applied something of each channel that was acknowledged after now. */
  recover(limitMs?: number): Promise<number>
  /** Ends publishing, heals the receivers, waits until nothing is left to do, and judges. It does not wait for `lackable`. */
  settle(lackable?: ReadonlySet<string>): Promise<Verdict & { readonly drainedMs: number }>
}

/** With a Postgres of its own. */
export interface Rig extends Flow {
  readonly postgres: TestCluster
}

export interface RigOptions {
  readonly seed: number
  /** A second mesh, that only works [true]. */
  readonly isPair?: boolean
  readonly publishers?: Partial<Pick<PublishersOptions, 'count' | 'keys' | 'pauseMs'>>
}

export interface FlowOptions extends RigOptions {
  /** What the meshes are told. */
  readonly meshUrl: string
  /** Where the shop writes, and the checker looks, at this moment. */
  readonly shopUrl: () => string
}

export const RECEIVERS = [
  { name: 'unordered', isOrdered: false, lanes: 1 },
  { name: 'ordered', isOrdered: true, lanes: 1 },
  { name: 'ordered-in-lanes', isOrdered: true, lanes: 4 },
] as const

export async function startRig(options: RigOptions): Promise<Rig> {
  await using starting = new AsyncDisposableStack()
  const postgres = starting.use(await startTestCluster())
  const { url } = await createEmptyDatabase(postgres.superuserUrl, postgres.url) // it goes with its server
  const flow = starting.use(await startFlow({ ...options, meshUrl: url, shopUrl: () => url }))
  const owned = starting.move()
  return { ...flow, postgres, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export async function startFlow({ seed, isPair = true, meshUrl, shopUrl, ...options }: FlowOptions): Promise<Flow> {
  await using starting = new AsyncDisposableStack()
  const env = { DATABASE_URL: meshUrl }
  const a = starting.use(await startMesh({ config: CONFIG, env }))
  await a.ready()
  const b = isPair ? starting.use(await startMesh({ config: CONFIG, env, args: ['--roles', 'work'] })) : undefined
  const parties = await startParties(a, seed, starting)
  await createShop(shopUrl())
  const publishers = startPublishers({
    base: a.base,
    databaseUrl: shopUrl,
    type: TYPE,
    source: 'shop',
    seed,
    count: 2,
    keys: 25,
    pauseMs: 20,
    ...options.publishers,
  })
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopped ??= publishers.stop()
    return stopped
  }
  starting.defer(stop)
  const frozen = new Set<TestMesh>()
  const owned = starting.move()
  return {
    seed,
    a,
    b,
    parties,
    publishers,
    killWork: async (mesh) => !frozen.has(mesh) && (await killRole(mesh, 'work')),
    killEdge: () => killRole(a, 'edge'),
    freeze: (mesh) => freeze(mesh, frozen),
    recover: (limitMs = DRAINED_MS) => recover(publishers, parties, limitMs),
    settle: (lackable = new Set()) => settle(stop, publishers, parties, shopUrl(), lackable),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Receivers, each with an endpoint of the mesh that leads to it. */
async function startParties(mesh: TestMesh, seed: number, stack: AsyncDisposableStack): Promise<Party[]> {
  const parties: Party[] = []
  for (const [index, { name, isOrdered, lanes }] of RECEIVERS.entries()) {
    const random = createSeededRandom(seed + 100 + index)
    const receiver = stack.use(await startReceiver({ name, random, deadlineMs: DEADLINE_MS }))
    await createEndpoint(mesh, receiver, { ordering: isOrdered ? 'key' : 'none', lanes })
    parties.push({ receiver, isOrdered })
  }
  return parties
}

async function createEndpoint(mesh: TestMesh, receiver: Receiver, wish: object): Promise<void> {
  const answer = await mesh.ask('/v1/endpoints', {
    method: 'POST',
    body: {
      url: receiver.url,
      event_types: [TYPE],
      deadline_ms: DEADLINE_MS,
      retry_schedule_ms: Array.from({ length: RETRY_STEPS }, () => RETRY_STEP_MS),
      ...wish,
    },
  })
  receiver.trust(dataOf<{ readonly secret: string }>(answer).secret)
}

async function killRole(mesh: TestMesh, role: 'edge' | 'work'): Promise<boolean> {
  const pid = await mesh.pidOf(role)
  signal(pid, 'SIGKILL')
  return pid !== undefined
}

async function freeze(mesh: TestMesh, frozen: Set<TestMesh>): Promise<() => void> {
  frozen.add(mesh)
  const thaw = await freezeMesh(mesh)
  return () => {
    thaw()
    frozen.delete(mesh)
  }
}

async function recover({ ledger }: Publishers, parties: readonly Party[], limitMs: number): Promise<number> {
  const fromMs = performance.now()
  let seen = ledger.findIndex(({ ackMs }) => ackMs >= fromMs)
  if (seen < 0) seen = ledger.length
  const waiting = new Set(parties.flatMap(({ receiver }) => CHANNELS.map((channel) => ({ receiver, channel }))))
  await until(
    'every receiver has applied what was published since',
    () => {
      for (const each of waiting) {
        const isApplied = ledger.some(
          ({ channel, id }, place) => place >= seen && channel === each.channel && each.receiver.timesApplied.has(id),
        )
        if (isApplied) waiting.delete(each)
      }
      return waiting.size === 0
    },
    limitMs,
  ).catch((cause) => {
    const left = [...waiting].map(({ receiver, channel }) => `${receiver.name} from ${channel}`)
    throw new Error(`not recovered: ${left.join(', ')}`, { cause })
  })
  return performance.now() - fromMs
}

async function settle(
  stop: () => Promise<void>,
  publishers: Publishers,
  parties: readonly Party[],
  databaseUrl: string,
  lackable: ReadonlySet<string>,
): Promise<Verdict & { readonly drainedMs: number }> {
  for (const { receiver } of parties) receiver.behave('well')
  await stop()
  const fromMs = performance.now()
  const waitedFor = publishers.ledger.filter(({ id }) => !lackable.has(id))
  const missing = (): number =>
    parties.reduce((total, { receiver }) => total + countMissing({ ledger: waitedFor }, receiver), 0)
  // What is lost would keep us here for ever: the verdict names it.
  await until('all is applied', () => missing() === 0, DRAINED_MS).catch(() => {})
  let verdict = await judge(publishers, parties, databaseUrl)
  const drainedMs = performance.now() - fromMs
  // The last completions are recorded a moment after their answers.
  await until(
    'all is recorded',
    async () => {
      verdict = await judge(publishers, parties, databaseUrl)
      return verdict.problems.length === 0
    },
    15_000,
  ).catch(() => {})
  return { ...verdict, drainedMs }
}
