// Demonstrations of rules/demonstrations/dependencies.ts, run.

import { until } from '../../../packages/server/src/testing/processes.ts'
import { APP, LISTEN, PRICES_LINK } from './programs.ts'
import { answersJson, isSeenIn, type Program, type Stage, shows } from './stage.ts'

const PRICE = { price: 5 }

/** The program behind a proxy to a peer that knows prices. */
async function behindProxy(stage: Stage): Promise<{ program: Program; asked: readonly string[] }> {
  const peer = await stage.peer(answersJson(PRICE))
  const port = await stage.proxy(peer.port)
  const program = await stage.start({ PRICES_URL: `http://127.0.0.1:${port}` })
  await until('it answers', async () => (await program.status('/price')) === 200)
  return { program, asked: peer.asked }
}

shows('silent-dependency', {
  rule: 'http-no-timeout',
  torn: `${APP}app.get('/price', async () => {
  const answer = await fetch(process.env.PRICES_URL + '/prices/1')
  if (!answer.ok) throw new Error('no price')
  return answer.json()
})
app.get('/other', async () => 'fine')
${LISTEN}`,
  mended: `${APP}${PRICES_LINK('{ deadlineMs: 200 }')}app.get('/price', () => priceOf(1))
app.get('/other', async () => 'fine')
${LISTEN}`,
  see: async (stage) => {
    const { program } = await behindProxy(stage)
    await stage.command('"timeout"')
    return [await program.status('/price'), await program.status('/other')]
  },
  seen: { torn: ['silent', 200], mended: [500, 200] },
})

shows('refused-dependency', {
  rule: 'swallowed-error',
  torn: `${APP}app.get('/price', async () => {
  try {
    await fetch(process.env.PRICES_URL + '/prices/1', { signal: AbortSignal.timeout(5_000) })
  } catch {}
  return { said: 'done' }
})
${LISTEN}`,
  mended: `${APP}${PRICES_LINK('{ deadlineMs: 5_000 }')}app.get('/price', async () => {
  await priceOf(1)
  return { said: 'done' }
})
${LISTEN}`,
  see: async (stage) => {
    const { program } = await behindProxy(stage)
    await stage.command('"enabled":false')
    return await program.status('/price')
  },
  seen: { torn: 200, mended: 500 },
})

shows('refusing-answers', {
  rule: 'http-status-unchecked',
  torn: `${APP}app.get('/price', async () => {
  const answer = await fetch(process.env.PRICES_URL + '/prices/1', { signal: AbortSignal.timeout(5_000) })
  const { price } = await answer.json()
  return { total: price * 2 }
})
${LISTEN}`,
  mended: `${APP}${PRICES_LINK('{ deadlineMs: 5_000 }')}app.get('/price', async () => {
  const { price } = await priceOf(1)
  return { total: price * 2 }
})
${LISTEN}`,
  see: async (stage) => {
    const { program } = await behindProxy(stage)
    await stage.command('"http_error"')
    return await program.status('/price')
  },
  seen: { torn: 200, mended: 500 },
})

const RECORD = (call: string): string => `${APP}async function record(what) {
  const answer = await fetch(process.env.PRICES_URL + '/prices/1', { signal: AbortSignal.timeout(5_000) })
  if (!answer.ok) throw new Error(what + ' was not recorded')
}
app.get('/price', async () => {
  ${call}
  return 'bought'
})
app.get('/other', async () => 'fine')
${LISTEN}`

shows('process-survives', {
  rule: 'floating-promise',
  torn: RECORD("record('sale')"),
  mended: RECORD("await record('sale')"),
  see: async (stage) => {
    const { program } = await behindProxy(stage)
    await stage.command('"enabled":false')
    const first = await program.status('/price')
    return [
      // It may end before its answer has gone out.
      first === 500 ? 'told' : 'not told',
      await until(
        'it has ended or answers',
        async () => (program.process.running ? await program.status('/other') : 'ended') || undefined,
      ),
    ]
  },
  seen: { torn: ['not told', 'ended'], mended: ['told', 200] },
})

shows('outage-and-back', {
  rule: 'permanent-failure-state',
  torn: `${APP}class Prices {
  constructor() {
    this.isUp = false
  }
  async connect() {
    try {
      await this.ask('/')
      this.isUp = true
    } catch (error) {
      this.isUp = false
    }
  }
  async ask(path) {
    const answer = await fetch(process.env.PRICES_URL + path, { signal: AbortSignal.timeout(5_000) })
    if (!answer.ok) throw new Error('refused')
    return answer.json()
  }
  async get(id) {
    if (!this.isUp) throw new Error('no prices')
    try {
      return await this.ask('/prices/' + id)
    } catch (error) {
      this.isUp = false
      throw error
    }
  }
}
const prices = new Prices()
await prices.connect()
app.get('/price', () => prices.get(1))
${LISTEN}`,
  mended: `${APP}${PRICES_LINK('{ deadlineMs: 5_000 }')}app.get('/price', () => priceOf(1))
${LISTEN}`,
  see: async (stage) => {
    const { program } = await behindProxy(stage)
    await stage.command('"enabled":false')
    await until('it fails', async () => (await program.status('/price')) === 500)
    await stage.command('"enabled":true')
    return (await isSeenIn(60, async () => (await program.status('/price')) === 200)) ? 'back' : 'still failing'
  },
  seen: { torn: 'still failing', mended: 'back' },
})

shows('counted-attempts', {
  rule: 'retry-no-backoff',
  torn: `${APP}app.get('/price', async () => {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      const answer = await fetch(process.env.PRICES_URL + '/prices/1')
      if (!answer.ok) throw new Error('refused')
      return await answer.json()
    } catch (error) {
      console.error(error)
    }
  }
  throw new Error('no price')
})
${LISTEN}`,
  mended: `${APP}${PRICES_LINK('{ deadlineMs: 1_000, retry: { attempts: 3 } }')}app.get('/price', () => priceOf(1))
${LISTEN}`,
  see: async (stage) => {
    const { program, asked } = await behindProxy(stage)
    await stage.command('"http_error"')
    const before = asked.filter((path) => path !== '/').length
    await program.status('/price')
    const attempts = asked.filter((path) => path !== '/').length - before
    return attempts > 3 ? 'many' : 'a few'
  },
  seen: { torn: 'many', mended: 'a few' },
})

shows('slow-round', {
  rule: 'overlapping-interval',
  torn: `${APP}app.get('/price', async () => 'fine')
async function refresh() {
  const answer = await fetch(process.env.PRICES_URL + '/prices/1', { signal: AbortSignal.timeout(60_000) })
  if (!answer.ok) throw new Error('no price')
}
setInterval(async () => {
  await refresh()
}, 100)
${LISTEN}`,
  mended: `${APP}app.get('/price', async () => 'fine')
async function refresh() {
  const answer = await fetch(process.env.PRICES_URL + '/prices/1', { signal: AbortSignal.timeout(60_000) })
  if (!answer.ok) throw new Error('no price')
}
let isRunning = false
setInterval(async () => {
  if (isRunning) return
  isRunning = true
  try {
    await refresh()
  } finally {
    isRunning = false
  }
}, 100)
${LISTEN}`,
  see: async (stage) => {
    const { program, asked } = await behindProxy(stage)
    await stage.command('"latency"')
    const before = asked.length
    const areSeveral = await isSeenIn(
      30,
      async () => (await program.status('/price')) === 200 && asked.length - before > 3,
    )
    return areSeveral ? 'several' : 'one'
  },
  seen: { torn: 'several', mended: 'one' },
})
