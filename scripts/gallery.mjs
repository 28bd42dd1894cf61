// `npm run gallery`: the reports of the five seed systems, into docs/gallery. Their trees are not part of this repository: RIPSTOP_CORPUS names a folder with
// `<name>-<first 8 of the commit>` for each. With Chromium (CHROMIUM, or on PATH) there are pictures too. Nothing of what is audited may stand in a report but
// names, paths and lines: a report that quotes a line of source is not written.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { become, ensureInstalled, fail, findNode, root } from './bootstrap.mjs'

const SYSTEMS = [
  { seed: '000', repository: 'shardie-github/AgentMeshCloud', commit: 'd42b1ad2ea07545f00a8df437623a4286053b7d7' },
  { seed: '001', repository: 'shardie-github/floyo', commit: 'df81b2ff56c2f5f4ad3360b5d3a315725d7b60d6' },
  { seed: '002', repository: 'netra-systems/zen', commit: '3748c84ea9ebc82b037d8f0cb84e554808e105ce' },
  {
    seed: '003',
    repository: 'PyAirtableMCP/pyairtable-compose',
    commit: 'bb23d022ae97a486c5944d74226d6fc1a6070c55',
    results: 'integration_test_results_20250807_181942.json',
  },
  {
    seed: '004',
    repository: 'Apexphere-Consultancy-Limited/synckairos',
    commit: '82c634d4e6b19901426ebf2519c8bc197bb545b6',
  },
]
/** What takes most down in the first picture; then what that changes is drawn. */
const POINT_AT_WIDEST = `(async () => {
  const reach = (one) => one.dataset.down.split(' ').length - (one.dataset.down === '' ? 1 : 0)
  const nodes = [...document.querySelector('.graph').querySelectorAll('.node')]
  nodes.sort((a, b) => reach(b) - reach(a))[0]?.dispatchEvent(new Event('pointerenter'))
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
})()`
const QUOTE_CHARS = 24
const PICTURE_BYTES_MAX = 200_000
/** Of the window: the first at which a picture is small enough. */
const WIDTHS = [1160, 900, 700, 660]

ensureInstalled()
const node = findNode()
if (node === process.execPath) await makeGallery()
else become(node, [join(root, 'scripts', 'gallery.mjs')])

async function makeGallery() {
  const corpus = process.env.RIPSTOP_CORPUS ?? ''
  if (corpus === '' || !existsSync(corpus))
    return fail('The gallery needs the audited systems: RIPSTOP_CORPUS names no folder. Nothing was written.')
  const { systemClock } = await import('@ripstop/kernel')
  const audit = await import('../packages/audit/src/index.ts')
  const folder = join(root, 'docs', 'gallery')
  mkdirSync(folder, { recursive: true })
  const rows = []
  for (const system of SYSTEMS) {
    const name = `${system.repository.split('/')[1]}-${system.commit.slice(0, 8)}`
    const target = join(corpus, name)
    if (!existsSync(target)) return fail(`${target} is not there. The gallery is not whole.`)
    process.stderr.write(`${name} …\n`)
    const report = audit.buildReport(await audit.scan(target, { clock: systemClock }), '0.1.0')
    const quotes = quotesIn(report, target)
    if (quotes.length > 0) return fail(`${name} quotes source; nothing more was written:\n${quotes.join('\n')}`)
    for (const format of ['md', 'html'])
      writeFileSync(join(folder, `${name}.${format}`), audit.render(report, format).text)
    if (system.results !== undefined) writeReadiness(audit, target, system.results, folder, name)
    rows.push({ ...system, name, report })
  }
  const pictures = await takePictures(folder, rows)
  writeFileSync(join(folder, 'README.md'), indexOf(rows, pictures))
  process.stderr.write(`wrote ${folder}\n`)
}

/** Lines of source that stand in a text of a finding, where they are no mere name or route: they have code in them, or are long. */
function quotesIn({ findings }, target) {
  return findings.flatMap(({ rule, symptom, rootCause, title, evidence, reproduction }) => {
    const texts = [symptom, rootCause, title, ...evidence.map(({ what }) => what), ...(reproduction?.steps ?? [])]
    return evidence.flatMap(({ loc }) => {
      if (loc === undefined || !existsSync(join(target, loc.file))) return []
      const lines = readFileSync(join(target, loc.file), 'utf8')
        .split('\n')
        .slice(loc.line - 1, loc.endLine)
      const found = lines
        .map((line) => line.trim())
        .find((line) => isQuotable(line) && texts.some((text) => text.includes(line)))
      return found === undefined ? [] : [`${rule} ${loc.file}:${loc.line}`]
    })
  })
}

function isQuotable(line) {
  return /\s/.test(line) && line.length >= (/[(){}=;"'`]/.test(line) ? QUOTE_CHARS : 2 * QUOTE_CHARS)
}

/** What the tests say of themselves stays with them. */
function writeReadiness({ parseResults, readinessOf, renderReadiness }, target, results, folder, name) {
  const readiness = readinessOf(parseResults(readFileSync(join(target, results), 'utf8'), results), results)
  const hollow = readiness.hollow.map((test) => ({ ...test, says: 'says itself that it found nothing' }))
  writeFileSync(join(folder, `${name}.readiness.md`), renderReadiness({ ...readiness, hollow }))
}

async function takePictures(folder, rows) {
  const { findBrowser, startBrowser } = await import('../packages/server/src/testing/browser.ts')
  const program = findBrowser()
  if (program === undefined) {
    process.stderr.write('No Chromium was found: the pictures are as they were.\n')
    return existsSync(join(folder, `${rows[0].name}.png`))
  }
  await using browser = await startBrowser(program)
  const page = await browser.page()
  for (const [index, { name }] of rows.entries()) {
    const file = join(folder, `${name}.png`)
    for (const width of WIDTHS) {
      await page.show({ width, height: 900, scheme: index % 2 === 0 ? 'light' : 'dark' })
      await page.open(pathToFileURL(join(folder, `${name}.html`)).href)
      await page.evaluate(POINT_AT_WIDEST)
      await page.screenshot(file, '#system .graph')
      if (readFileSync(file).length <= PICTURE_BYTES_MAX) break
    }
    if (readFileSync(file).length > PICTURE_BYTES_MAX) fail(`${file} has more than ${PICTURE_BYTES_MAX} bytes`)
  }
  await page.show({ width: 1160, height: 900, scheme: 'light' })
  await page.open(pathToFileURL(join(folder, `${rows[0].name}.html`)).href)
  await page.screenshot(join(folder, 'summary.png'), '#summary')
  return true
}

function indexOf(rows, hasPictures) {
  const lines = rows.map(({ seed, repository, commit, name, results, report: { grade, figures, graph, coverage } }) => {
    const code = coverage.languages.reduce((sum, { lines: own }) => sum + own.value, 0)
    const readiness = results === undefined ? '' : `, [readiness](${name}.readiness.md)`
    const cells = [
      seed,
      `${repository} at \`${commit.slice(0, 8)}\``,
      grade ?? 'not measurable here',
      `${figures.strong.value} (static)`,
      `${figures.review.value} (static)`,
      `${graph.components.length}, ${graph.links.length} (config, static)`,
      `${code.toLocaleString('en')} (static)`,
      `[page](${name}.html), [Markdown](${name}.md)${readiness}`,
    ]
    return `| ${cells.join(' | ')} |`
  })
  const pictures = hasPictures
    ? [
        '',
        '![What an executive sees first](summary.png)',
        ...rows.flatMap(({ name }) => [
          '',
          `### ${name}`,
          '',
          `[![What goes down with what in ${name}](${name}.png)](${name}.html)`,
        ]),
      ]
    : []
  return `${[
    '# Gallery',
    '',
    'What `ripstop-audit` says of the five public systems whose hand-written failure reports Ripstop began with (see [seeds](../seeds.md)). Every word is ours; of the',
    'systems there are names, paths and lines. Made by `npm run gallery`, which needs their trees (`RIPSTOP_CORPUS`). A page is opened from a local copy.',
    '',
    '| seed | system | grade | strong | for review | components, links | lines read | report |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
    ...pictures,
  ].join('\n')}\n`
}
