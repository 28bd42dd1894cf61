// The chess clock, as people use it: a game in three tabs of a real browser, while the mesh and Redis are killed. RIPSTOP_SCREENSHOTS names
// a folder for pictures of it, for people to look at.

import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Arbiter, type Game, SEATS, type Seat, startArbiter } from '../../examples/chess-clock/arbiter.ts'
import { createImportMap, readModule } from '../../examples/chess-clock/modules.ts'
import {
  type Browser,
  findBrowser,
  type Page,
  startBrowser,
  type Viewport,
} from '../../packages/server/src/testing/browser.ts'
import { createTestDatabase, type TestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { findFreePort } from '../../packages/server/src/testing/processes.ts'
import { startTestRedis, type TestRedis } from '../../packages/server/src/testing/redis.ts'
import { startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'

const program = findBrowser()
const PICTURES = process.env.RIPSTOP_SCREENSHOTS
const WIDE: Viewport = { width: 1280, height: 720, scheme: 'light' }
const PHONE: Viewport = { width: 390, height: 844, scheme: 'dark' }
const TOLERANCE_MS = 25
const BACK_MS = 60_000
const DRAW = new URL('../../examples/chess-clock/page/draw.js', import.meta.url)

test('XC4: a browser is served sources of the packages, types blanked, and nothing else', async () => {
  const { imports } = createImportMap()
  const door = imports['@ripstop/sdk/sessions'] as string
  expect(await readModule(door)).toContain('connectSession')
  expect(await readModule(door)).not.toMatch(/^export type/m)
  for (const path of [
    '/modules/sdk/package.json',
    '/modules/server/src/main.ts',
    '/modules/sdk/src/../../server/src/main.ts',
    '/modules/sdk/src/none.ts',
  ])
    expect(await readModule(path)).toBeUndefined()
})

test('times are shown as on a clock, and zero only when it is over', async () => {
  const { spanText, timeText } = (await import(String(DRAW))) as Record<string, (ms: number) => string>
  expect(
    [300_000, 299_999, 61_000, 59_001, 20_000, 19_950, 19_900, 101, 1, 0, -5, 3_723_000].map((ms) => timeText?.(ms)),
  ).toEqual(['5:00', '5:00', '1:01', '1:00', '0:20', '20.0', '19.9', '0.2', '0.1', '0.0', '0.0', '1:02:03'])
  expect([420, 12_345, 245_000, -1_000].map((ms) => spanText?.(ms))).toEqual(['0.42 s', '12.3 s', '4:05', '−1.00 s'])
})

describe.skipIf(program === undefined)('a game in a browser', { timeout: 3 * BACK_MS }, () => {
  let browser: Browser
  let database: TestDatabase
  let redis: TestRedis
  let mesh: TestMesh
  let arbiter: Arbiter
  let game: Game
  let tabs: Record<Seat, Page>

  beforeAll(async () => {
    const port = await findFreePort()
    const origin = `http://127.0.0.1:${port}`
    browser = await startBrowser(program as string)
    database = await createTestDatabase()
    redis = await startTestRedis({ settings: { appendonly: 'yes', appendfsync: 'everysec' } })
    mesh = await startMesh({ env: { DATABASE_URL: database.url, REDIS_URL: redis.url, ALLOWED_ORIGINS: origin } })
    await mesh.ready()
    arbiter = await startArbiter({ port, mesh: mesh.base })
  })
  afterAll(async () => {
    for (const part of [browser, arbiter, mesh, redis, database]) await part?.[Symbol.asyncDispose]()
  })
  beforeEach(async (context) => {
    tellOnFailure(context, mesh)
    game = await arbiter.createGame('5+0')
    tabs = Object.fromEntries(await Promise.all(SEATS.map(async (seat) => [seat, await sit(seat)] as const))) as Record<
      Seat,
      Page
    >
  })

  const sit = async (seat: Seat): Promise<Page> => {
    const page = await browser.page()
    await page.show(WIDE)
    await page.open(`${arbiter.url}${arbiter.linkTo(game, seat)}`)
    await page.until(`chessClock.view().link === 'live' && chessClock.view().uncertaintyMs !== undefined`)
    return page
  }
  const tap = (seat: Seat, place: number): Promise<void> =>
    tabs[seat].evaluate(
      `document.querySelector('.side[data-place="${place}"]').dispatchEvent(new PointerEvent('pointerdown'))`,
    )
  /** Clients come back at random within 30 s, later the longer nobody was there. */
  const everywhere = (expression: string): Promise<unknown> =>
    Promise.all(
      SEATS.map((seat) => until(`${seat}: ${expression}`, () => tabs[seat].evaluate<boolean>(expression), BACK_MS)),
    )
  const move = async (seat: 'white' | 'black'): Promise<void> => {
    const place = seat === 'white' ? 0 : 1
    await tap(seat, place)
    await everywhere(`chessClock.view().active === ${1 - place} && chessClock.view().pending === 0`)
  }
  const picture = async (name: string, seat: Seat, viewport: Viewport = WIDE): Promise<void> => {
    if (PICTURES === undefined) return
    await tabs[seat].show(viewport)
    await tabs[seat].evaluate(`new Promise((resolve) => setTimeout(resolve, 200))`)
    await tabs[seat].screenshot(join(PICTURES, `${name}-${viewport.width}.png`))
  }
  /** What a tab takes for the server's time, less what the machine's clock says: the same in all tabs, if they are right. */
  const offsets = (): Promise<number[]> =>
    Promise.all(
      SEATS.map((seat) =>
        tabs[seat].evaluate<number>(`chessClock.session.now() - performance.timeOrigin - performance.now()`),
      ),
    )
  /** Soon: a tab on a busy machine begins with a worse estimate, and hears of a move later. */
  const expectAgreement = (): Promise<unknown> =>
    until('the tabs agree on the time and on what happened', async () => {
      const seen = await offsets()
      const states = await Promise.all(
        SEATS.map((seat) => tabs[seat].evaluate<string>(`JSON.stringify(chessClock.session.getSnapshot().confirmed)`)),
      )
      return Math.max(...seen) - Math.min(...seen) < TOLERANCE_MS && new Set(states).size === 1
    })

  test('XC1, XC2, XC3: it is played in two tabs and watched in a third, which can move nothing', async () => {
    await picture('pending', 'black')
    await tap('black', 1)
    await everywhere(`chessClock.view().status === 'running'`)
    await picture('running', 'white')
    await move('white')
    await move('black')
    await expectAgreement()
    const before = await tabs.white.evaluate<number>(`chessClock.session.getSnapshot().place.version`)

    await tap('watch', 0) // the spectator's
    await tap('black', 0) // the opponent's
    await tap('black', 1) // not his turn
    const said = await tabs.watch.evaluate<string>(
      `chessClock.session.command({ kind: 'switch' }).then(() => 'done', (error) => error.code)`,
    )
    expect(said).toBe('FORBIDDEN')
    const status = await tabs.watch.evaluate<number>(
      `fetch('/games/${game.sessionId}/pause', { method: 'POST', body: JSON.stringify({ token: ${JSON.stringify(game.tokens.watch)} }) }).then(({ status }) => status)`,
    )
    expect(status).toBe(403)
    expect(await tabs.white.evaluate(`chessClock.session.getSnapshot().place.version`)).toBe(before)
    // The page of a seat holds the token of that seat, and nothing that would open another.
    const html = await (await fetch(`${arbiter.url}/play`)).text()
    for (const secret of [...Object.values(game.tokens), 'rsk_']) expect(html).not.toContain(secret)

    await move('white')
    await picture('phone', 'black', PHONE)
    await tabs.white.evaluate(`document.querySelector('#end').click()`)
    await everywhere(`chessClock.view().status === 'completed'`)
    await tabs.white.evaluate(`document.querySelector('#explain').click()`)
    await tabs.white.until(`document.querySelectorAll('#turns tr').length >= 5`)
    await picture('review', 'white')
    await picture('review', 'white', PHONE)
    for (const seat of SEATS) expect(tabs[seat].problems).toEqual([])
  })

  test('XC3, XC5: the mesh is killed in the middle of a turn, and all clocks go on and agree afterwards', async () => {
    await tap('black', 1)
    await everywhere(`chessClock.view().status === 'running'`)
    await move('white')
    await mesh.killAll()
    const killedMs = performance.now()
    await tabs.white.until(`chessClock.view().link === 'away'`)
    const shown = await tabs.white.evaluate<number>(`chessClock.view().sides[1].leftMs`)
    await picture('away', 'white')
    await tabs.white.until(`chessClock.view().sides[1].leftMs < ${shown - 500}`)
    await tap('black', 1) // waits until there is somebody to tell
    await tabs.black.until(`chessClock.view().pending === 1`)
    const awayMs = performance.now() - killedMs
    await mesh.start()
    await everywhere(`chessClock.view().link === 'live' && chessClock.view().active === 0`)
    await tabs.black.until(`chessClock.view().pending === 0`)
    await until('all tabs agree', async () => {
      const seen = await offsets()
      return Math.max(...seen) - Math.min(...seen) < TOLERANCE_MS
    })
    await expectAgreement()
    // Nobody pays for a server that was not there; beats are half a second apart.
    const answer = await mesh.ask(`/v1/sessions/${game.sessionId}/replay`)
    const { shares } = (JSON.parse(answer.text) as { data: { shares: { outage_ms: number }[] } }).data
    expect(shares[1]?.outage_ms).toBeGreaterThan(awayMs - 700)
  })

  test('XC5: Redis is killed and comes back, and no move is lost', async () => {
    await tap('black', 1)
    await everywhere(`chessClock.view().status === 'running'`)
    await move('white')
    await redis.kill('SIGKILL')
    await tap('black', 1)
    await redis.restart()
    await everywhere(`chessClock.view().active === 0`)
    await tabs.black.until(`chessClock.view().pending === 0`)
    await move('white')
    await expectAgreement()
  })
})
