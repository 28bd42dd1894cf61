// The report's page in a real browser.
//   RW9. On 1440 by 900 the first screen holds the grade, the counts, the top risks with what to do, the phases of the plan and what is said of service levels.
//   RW10. The page itself never scrolls sideways, texts of the picture stay in their boxes, and what is small or dim can be read (4.5 to 1) in light and dark.
// RIPSTOP_SCREENSHOTS names a folder for pictures of it, for people to look at.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { systemClock } from '@ripstop/kernel'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createFolder } from '../../packages/audit/src/folder.fixture.ts'
import { buildReport, type Finding, RULES, render, type Scan, scan } from '../../packages/audit/src/index.ts'
import { type Browser, findBrowser, type Page, startBrowser } from '../../packages/server/src/testing/browser.ts'

const program = findBrowser()
const PICTURES = process.env.RIPSTOP_SCREENSHOTS
const BYTES_MAX = 2_000_000
const HOSTILE = '</script><img src=x onerror="document.title=1">\u202E`'

const SYSTEM = {
  'compose.yml': `services:
  web: { build: ./web, ports: ['80:80'], restart: always, depends_on: [api] }
  api:
    build: ./api
    restart: always
    environment: { BILLING_URL: 'http://billing:80' }
    depends_on: { db: { condition: service_healthy } }
  billing: { build: ./billing, restart: always }
  db: { image: 'postgres:16', ports: ['5432:5432'], environment: { POSTGRES_PASSWORD: hunter2 } }
`,
  CODEOWNERS: '/api/ @team\n',
  'web/package.json': '{}',
  'billing/package.json': '{}',
  'api/package.json': '{}',
  'api/main.ts': `import axios from 'axios'
export async function bill() {
  try { await axios.get(\`\${process.env.BILLING_URL}/x\`) } catch {}
}
export async function ask() { return axios.get('http://billing/y') }
`,
}

/** Names of the picture that leave their box. */
const TOO_WIDE = `[...document.querySelectorAll('.node')].flatMap((node) => {
  const box = node.querySelector('.box').getBBox()
  return [...node.querySelectorAll(':scope > text')].filter((text) => text.getBBox().x + text.getBBox().width > box.x + box.width).map((text) => text.textContent)
})`

/** Texts whose colour is too near that of what they stand on (WCAG 2.2, 1.4.3). */
const TOO_FAINT = `(() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true })
  const light = (colour) => {
    canvas.fillStyle = colour
    canvas.fillRect(0, 0, 1, 1)
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((byte) => (byte / 255 <= 0.04045 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const under = (one) => {
    const colour = one === null ? 'Canvas' : getComputedStyle(one).backgroundColor
    return colour === 'rgba(0, 0, 0, 0)' ? under(one.parentElement) : colour
  }
  const faint = new Set()
  for (const one of document.querySelectorAll('main *:not(svg *), nav a')) {
    if (![...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '')) continue
    const [a, b] = [light(getComputedStyle(one).color), light(under(one))].sort((x, y) => y - x)
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.add(one.tagName + '.' + one.className)
  }
  return [...faint]
})()`

describe.skipIf(program === undefined)('the page of a report', () => {
  let browser: Browser
  let page: Page
  let scanned: Scan

  beforeAll(async () => {
    browser = await startBrowser(program as string)
  })
  afterAll(() => browser[Symbol.asyncDispose]())
  beforeEach(async () => {
    scanned = await scan(createFolder(SYSTEM), { clock: systemClock, threads: 1 })
    page = await browser.page()
    await page.show({ width: 1200, height: 900, scheme: 'light' })
  })
  afterEach(() => expect(page.problems).toEqual([]))

  const open = async (findings: readonly Finding[] = scanned.findings): Promise<string> => {
    const { text } = render(buildReport({ ...scanned, findings }, '1.0.0'), 'html')
    const file = join(createFolder({}), 'report.html')
    writeFileSync(file, text)
    await page.open(pathToFileURL(file).href)
    return text
  }
  const ask = <T>(expression: string): Promise<T> => page.evaluate<T>(expression)
  const names = (selector: string): Promise<readonly string[]> =>
    ask(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.dataset.name).sort()`)
  const shown = (): Promise<number> => ask(`document.querySelectorAll('details.finding:not([hidden])').length`)
  const set = (by: string, value: string): Promise<void> =>
    ask(
      `(() => { const one = document.querySelector('[data-by=${by}]'); one.value = ${JSON.stringify(value)}; one.dispatchEvent(new Event('input')) })()`,
    )
  const focus = (name: string): Promise<void> => ask(`document.querySelector('.node[data-name=${name}]').focus()`)

  test('pointing at a component shows what goes down with it, and over which links', async () => {
    await open()
    await focus('db')
    expect(await names('.node.down')).toEqual(['api', 'web'])
    expect(await names('.node.source')).toEqual(['db'])
    expect(await ask(`document.querySelectorAll('path.edge.hot').length`)).toBe(2)
    expect(await ask(`document.getElementById('radius').textContent`)).toBe('db takes down api, web (assumed).')
    await focus('web')
    expect(await names('.node.down')).toEqual([])
    if (PICTURES !== undefined) await page.screenshot(join(PICTURES, 'audit-page.png'))
  })

  test('choosing a component by the keyboard keeps it, and filters findings and tables; Escape lets go', async () => {
    await open()
    const all = await shown()
    const rows = `document.querySelectorAll('tr[data-component]:not(.other)').length`
    const allRows = await ask<number>(rows)
    await focus('db')
    await page.press('Enter')
    expect(await ask(`document.querySelector('[aria-pressed=true]').dataset.name`)).toBe('db')
    const own = scanned.findings.filter(({ component }) => component === 'db').length
    expect([await shown(), own > 0 && own < all]).toEqual([own, true])
    expect(await ask<number>(rows)).toBeLessThan(allRows)
    await page.press('Escape')
    expect([await shown(), await ask(rows)]).toEqual([all, allRows])
  })

  test('filters by severity, tier, category, component and text show what fits, and say how many', async () => {
    await open()
    const all = scanned.findings.length
    const count = (): Promise<string> => ask(`document.getElementById('count').textContent`)
    expect(await count()).toBe(`${all} of ${all} shown`)
    for (const [by, value] of [
      ['severity', 'high'],
      ['tier', 'strong'],
      ['component', 'api'],
      ['text', 'POSTGRES_password'],
    ] as const) {
      await set(by, value)
      const fitting = await shown()
      expect([by, fitting > 0 && fitting <= all]).toEqual([by, true])
      expect(await count()).toBe(`${fitting} of ${all} shown`)
      await set(by, '')
    }
    await set('text', 'no such thing')
    expect(await shown()).toBe(0)
    await ask(`document.getElementById('clear').click()`)
    expect(await shown()).toBe(all)
  })

  test('a link from the top ten opens its finding; everything is open on paper, and closed again after', async () => {
    await open()
    await ask(`document.querySelector('#top a[href^="#f-"]').click()`)
    await page.until(`document.querySelectorAll('details.finding[open]').length === 1`)
    const closed = `document.querySelectorAll('details:not([open])').length`
    const before = await ask<number>(closed)
    await ask(`dispatchEvent(new Event('beforeprint'))`)
    expect(await ask(closed)).toBe(0)
    await ask(`dispatchEvent(new Event('afterprint'))`)
    expect(await ask(closed)).toBe(before)
  })

  test('RW9: the first screen holds what an executive needs', async () => {
    await page.show({ width: 1440, height: 900, scheme: 'light' })
    await open()
    for (const selector of ['.grade', '.tiles', '.risk:last-child', '#phases tbody tr:last-child', '#levels .lead']) {
      const bottom = await ask<number>(
        `document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect().bottom`,
      )
      expect([selector, bottom > 0 && bottom <= 900]).toEqual([selector, true])
    }
    expect(await ask(`document.querySelector('#levels .lead').textContent`)).toContain('not measurable here')
    expect(
      await ask(`[...document.querySelectorAll('.risk p b')].every((one) => /^P[0-3]$/.test(one.textContent))`),
    ).toBe(true)
  })

  test('RW10: no window is too narrow, no name too wide, and no colour too faint', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `a-service-with-wide-names-of-${index}-WWWWWW`)
    const crowd = names.map(
      (name, index) => `  ${name}: { image: 'x:1', depends_on: [${names[(index * 7 + 3) % 12]}] }\n`,
    )
    scanned = await scan(createFolder({ ...SYSTEM, 'compose.yml': `services:\n${crowd.join('')}` }), {
      clock: systemClock,
      threads: 1,
    })
    for (const scheme of ['light', 'dark'] as const) {
      for (const width of [390, 1280, 1440]) {
        await page.show({ width, height: 900, scheme })
        await open()
        expect([width, await ask('document.documentElement.scrollWidth <= innerWidth')]).toEqual([width, true])
      }
      expect(await ask(TOO_WIDE)).toEqual([])
      expect(await ask(TOO_FAINT)).toEqual([])
    }
  })

  test('arrows walk the picture, a slash goes to the search, and filters that nothing fits say so', async () => {
    await open()
    const press = (key: string): Promise<void> =>
      ask(
        `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: ${JSON.stringify(key)}, bubbles: true }))`,
      )
    const focused = (): Promise<string> =>
      ask(`document.activeElement.dataset.name ?? document.activeElement.dataset.by`)
    await focus('db')
    await press('ArrowRight')
    const next = await focused()
    await press('ArrowLeft')
    expect([next !== 'db', await focused()]).toEqual([true, 'db'])
    await press('/')
    expect(await focused()).toBe('text')
    const isSaid = (): Promise<boolean> => ask(`!document.getElementById('none').hidden`)
    expect(await isSaid()).toBe(false)
    await set('text', 'no such thing')
    expect(await isSaid()).toBe(true)
  })

  test('a long matrix is folded, and choosing a component opens what is its own', async () => {
    const services = Array.from(
      { length: 24 },
      (_, index) =>
        `  s${index}: { image: 'x:1', depends_on: [db${index}, hub] }\n  db${index}: { image: 'postgres:16' }\n`,
    )
    scanned = await scan(createFolder({ 'compose.yml': `services:\n  hub: { image: 'x:1' }\n${services.join('')}` }), {
      clock: systemClock,
      threads: 1,
    })
    await open()
    const shownRows = (): Promise<number> =>
      ask(`[...document.querySelectorAll('#matrix tr[data-component]')].filter((row) => row.checkVisibility()).length`)
    const folded = await shownRows()
    const [all, last] = await ask<[number, string]>(
      `((rows) => [rows.length, rows.at(-1).dataset.component.split('|')[0]])([...document.querySelectorAll('#matrix tr[data-component]')])`,
    )
    expect([folded < all, folded >= 10]).toEqual([true, true])
    await focus(last)
    await page.press('Enter')
    expect(await shownRows()).toBeGreaterThan(0)
    expect(await ask(`document.querySelector('#matrix details').open`)).toBe(true)
  })

  test('RE13: hostile text is text in the browser too', async () => {
    const hostile = scanned.findings.map((one) => ({
      ...one,
      title: HOSTILE,
      symptom: HOSTILE,
      rootCause: HOSTILE,
      owner: HOSTILE,
    }))
    await open(hostile)
    expect(
      await ask(`[document.images.length, document.title.startsWith('Audit of'), document.scripts.length].join()`),
    ).toBe('0,true,1')
    expect(await shown()).toBe(hostile.length)
  })

  test('one finding, none, and a thousand are shown; a thousand take less than 2 MB, and a narrow window scrolls down only', async () => {
    const [first] = scanned.findings as [Finding]
    for (const findings of [[], [first]]) {
      await open(findings)
      expect(await shown()).toBe(findings.length)
    }
    const many = Array.from({ length: 1_000 }, (_, index): Finding => {
      const { id, severity, title, remedies, why } =
        RULES[index % RULES.length]?.meta ?? (RULES[0] as (typeof RULES)[number]).meta
      const [place] = first.evidence
      const evidence = place === undefined ? [] : [place, place]
      const text = { title, symptom: why.slice(0, 160), rootCause: why.slice(0, 160) }
      return {
        ...first,
        ...text,
        fingerprint: index.toString(16).padStart(24, '0'),
        rule: id,
        severity,
        remedies,
        evidence,
      }
    })
    expect(Buffer.byteLength(await open(many))).toBeLessThan(BYTES_MAX)
    expect(await shown()).toBe(1_000)
    await set('text', 'api')
    await page.show({ width: 380, height: 800, scheme: 'dark' })
    expect(await ask('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
  })
})
