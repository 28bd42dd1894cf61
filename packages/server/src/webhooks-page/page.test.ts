// The page in a real browser. RIPSTOP_SCREENSHOTS names a folder for pictures of it, for people to look at.

import { join } from 'node:path'
import { RipstopError } from '@ripstop/kernel'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Browser, findBrowser, type Page, startBrowser, type Viewport } from '../testing/browser.ts'
import { ADMIN, startTestServer, type TestServer } from '../testing/http.ts'
import { until } from '../testing/processes.ts'
import { attempt, createWorld, type World } from './page.fixture.ts'
import { createWebhooksPageRoutes } from './routes.ts'

const program = findBrowser()
const PICTURES = process.env.RIPSTOP_SCREENSHOTS
const WIDE: Viewport = { width: 1200, height: 900, scheme: 'light' }

test('the page comes alone, only its own script and style may run, and it links to the mesh page', async () => {
  await using server = await startTestServer({ routes: createWebhooksPageRoutes() })
  const { text, headers } = await server.request('/webhooks')
  expect(text).not.toMatch(/\/\* (style|script) \*\//)
  expect(text).toContain('<a href="/">Mesh</a>')
  expect(text).not.toMatch(/<(script|link|img)[^>]+(src|href)=|style="|onclick=|https?:\/\/(?!www\.w3\.org\/2000\/svg)/)
  expect(headers.get('content-security-policy')).toMatch(
    /^default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; connect-src 'self'/,
  )
})

describe.skipIf(program === undefined)('the page in a browser', () => {
  let browser: Browser
  let world: World
  let server: TestServer
  let page: Page

  beforeAll(async () => {
    browser = await startBrowser(program as string)
  })
  afterAll(() => browser[Symbol.asyncDispose]())
  beforeEach(async () => {
    world = createWorld()
    server = await startTestServer({ routes: [...createWebhooksPageRoutes(), ...world.routes] })
    page = await browser.page()
    await page.show(WIDE)
  })
  afterEach(async () => {
    await server[Symbol.asyncDispose]()
    expect(page.problems).toEqual([])
  })

  const open = async (): Promise<void> => {
    await page.open(new URL('/webhooks', server.url).href)
    await page.until(`document.querySelectorAll('.card').length === 5`)
  }
  const textOf = (selector: string): Promise<string> =>
    page.evaluate(`document.querySelector(${JSON.stringify(selector)}).innerText`)
  const click = (selector: string): Promise<void> =>
    page.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`)
  const picture = async (name: string): Promise<void> => {
    if (PICTURES !== undefined) await page.screenshot(join(PICTURES, `${name}.png`))
  }

  test('a reading whose answer never comes is given up, and the next one is made', async () => {
    await open()
    await page.evaluate(`(() => {
      const [get, timeout] = [window.fetch, AbortSignal.timeout.bind(AbortSignal)]
      AbortSignal.timeout = () => timeout(50) // not to wait for the page's own patience
      window.asked = 0
      window.fetch = (path, init) => {
        if (!path.startsWith('/v1/endpoints?') || ++window.asked > 1) return get(path, init)
        return new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal.reason)))
      }
    })()`)
    await page.until('window.asked >= 2')
  })

  test('endpoints are told with state, backlog, last success and since when they fail, those in trouble first', async () => {
    await open()
    await page.until(`!document.querySelector('#endpoints').innerText.includes('…\\n')`)
    const names = await page.evaluate<string[]>(`[...document.querySelectorAll('.card .name')].map((e) => e.innerText)`)
    expect(names.slice(0, 3)).toEqual(['Old partner', 'Reporting', 'CRM'])
    const cards = await page.evaluate<string[]>(`[...document.querySelectorAll('.card')].map((e) => e.innerText)`)
    expect(cards[0]).toMatch(/gone[\s\S]*410 Gone[\s\S]*over 200[\s\S]*7 d ago/)
    expect(cards[1]).toMatch(/paused[\s\S]*nightly load[\s\S]*31[\s\S]*and 2 more types/)
    expect(cards[2]).toMatch(/failing[\s\S]*25 min ago[\s\S]*24 min ago/)
    expect(await textOf('#state')).toBe('3 of 5 need a look')
    await page.until(
      `!/…|019a/.test(document.querySelector('#deliveries').innerText + document.querySelector('#dead').innerText)`,
    )
    for (const scheme of ['light', 'dark'] as const) {
      for (const [name, width] of [
        ['wide', 1200],
        ['narrow', 380],
      ] as const) {
        await page.show({ width, height: 900, scheme })
        const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
        expect(await page.evaluate<number>(overflow), `${name} has no scroll bar below`).toBe(0)
        await picture(`page-${scheme}-${name}`)
      }
    }
  })

  test('deliveries appear as they happen, the newest first, and what others wrote stays text', async () => {
    await open()
    await until('the stream is open', () => world.streams() === 1)
    await page.until(`document.querySelectorAll('#deliveries .look').length === 24`)
    world.happen(attempt(900, { delivery_id: '99001', reason: '<b>bold</b>', outcome: 'failed', status: 500 }))
    world.happen(attempt(900, { delivery_id: '99001', reason: 'the same once more' }))
    await page.until(`document.querySelector('#deliveries .look').innerText.includes('<b>bold</b>')`)
    expect(await page.evaluate(`document.querySelectorAll('#deliveries .look').length`)).toBe(25)
    await click('#failures')
    const outcomes = `[...document.querySelectorAll('#deliveries .outcome')].map((e) => e.innerText)`
    expect(new Set(await page.evaluate<string[]>(outcomes))).toEqual(new Set(['failed', 'unknown']))
  })

  test('a flood is drawn a few times a second, bounded, and says how much it left out', async () => {
    await open()
    await until('the stream is open', () => world.streams() === 1)
    // No more than the server leaves unread for a client before it drops it.
    for (let n = 0; n < 550; n++) world.happen(attempt(10_000 + n))
    const last = attempt(10_549).attempt_id
    await page.until(`document.querySelector('#deliveries .look').dataset.is === '${last}'`)
    expect(await textOf('#skipped')).toMatch(/^[\d,]+ more went by too fast to be shown\.$/)
    expect(await page.evaluate<number>(`document.querySelectorAll('#deliveries .look').length`)).toBeLessThanOrEqual(
      200,
    )
  })

  test('a delivery is explained with the keyboard alone: its why, its attempts, and Escape goes back to the row', async () => {
    await open()
    await page.until(`document.querySelector('#deliveries .look')`)
    await page.evaluate(`document.querySelector('#failures').focus()`)
    await page.press('Tab')
    await page.press('Enter')
    await page.until(`document.querySelector('#attempts')`)
    const text = await textOf('#detail')
    expect(text).toContain('the endpoint answered 503 three times')
    expect(text).toMatch(/Attempts[\s\S]*failed[\s\S]*DEADLINE_EXCEEDED[\s\S]*What that was read from/i)
    expect(text).toContain('<script>document.title = "broken in"</script>')
    for (const scheme of ['light', 'dark'] as const) {
      await page.show({ ...WIDE, scheme })
      await picture(`detail-${scheme}`)
    }
    await page.show({ width: 380, height: 800, scheme: 'light' })
    await picture('detail-narrow')
    await page.press('Escape')
    await page.until(`!document.querySelector('#detail').open`)
    await page.until(`document.activeElement.className === 'look'`)
  })

  test('an endpoint is paused and resumed, and the focus stays on the button', async () => {
    await open()
    const button = `[data-is^="change"][data-is$="000000000001"]`
    await page.evaluate(`document.querySelector('${button}').focus()`)
    await page.press('Enter')
    await page.until(`document.querySelector('${button}').innerText === 'Resume'`)
    expect(world.done).toEqual(['paused 019a7c3e-5f0e-7cc1-9d7e-000000000001'])
    expect(await page.evaluate(`document.activeElement.innerText`)).toBe('Resume')
    expect(await textOf('#said')).toBe('Paused: what is meant for it waits.')
    await page.press('Enter')
    await page.until(`document.querySelector('${button}').innerText === 'Pause'`)
  })

  test('one dead letter is sent again at once, all of them only after a second look', async () => {
    await open()
    await page.until(`document.querySelectorAll('#dead .look').length === 3`)
    await click('[data-is="redrive 47008"]')
    await page.until(`document.querySelectorAll('#dead .look').length === 2`)
    await click('#redrive-all')
    expect([world.done, await textOf('#redrive-all')]).toEqual([['redrive 47008'], 'Really all?'])
    await click('#redrive-all')
    await page.until(`document.querySelector('#dead').innerText.includes('None')`)
    expect(world.done).toEqual(['redrive 47008', 'redrive all'])
  })

  test('the list is searched, and what fits no more goes', async () => {
    await open()
    await page.evaluate(`document.querySelector('#find').focus()`)
    await page.type('failing')
    await page.until(`document.querySelectorAll('.card').length === 1`)
    expect(await textOf('.card .name')).toBe('CRM')
  })

  test('with API keys the page asks for one, keeps it in memory only, and says what it may not do', async () => {
    await using locked = await startTestServer({
      mode: 'keys',
      routes: [...createWebhooksPageRoutes(), ...world.routes],
      authenticate: (headers) => {
        const key = String(headers.authorization)
        if (key.endsWith('reads')) return { ...ADMIN, scopes: ['webhooks:read'] }
        throw new RipstopError('UNAUTHENTICATED', 'no key')
      },
    })
    await page.open(new URL('/webhooks', locked.url).href)
    await page.until(`!document.querySelector('#login').hidden`)
    expect(await textOf('#state')).toBe('locked')
    await picture('locked')
    await page.evaluate(`document.querySelector('#key').focus()`)
    await page.type('rs_dev_bad')
    await page.press('Enter')
    await page.until(`document.querySelector('#login').innerText.includes('refused')`)
    await page.type('rs_dev_reads')
    await page.press('Enter')
    await page.until(`document.querySelectorAll('.card').length === 5`)
    await click(`[data-is^="change"]`)
    await page.until(`document.querySelector('#said').innerText.includes('webhooks:write')`)
    expect([world.done, await textOf('#state')]).toEqual([[], '3 of 5 need a look'])
    const kept = `JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie])`
    expect(await page.evaluate(kept)).toBe('[{},{},""]')
    await page.evaluate(`location.reload()`)
    await page.until(`document.querySelector('#login') && !document.querySelector('#login').hidden`)
  })
})
