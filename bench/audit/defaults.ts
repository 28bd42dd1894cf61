// `node bench/audit/defaults.ts [SECONDS]`: measures what libraries do when nobody says (bench/libraries), beside what the auditor says of them, and writes the table
// of docs/proof/audit-knowledge.md. Installs npm's libraries on first use; Python's come with Debian's packages, which are named there.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { LIBRARIES, type Library } from '../../packages/audit/src/knowledge/index.ts'
import { mayMeasure, measure, type Row, type Verdict, verdictOf } from '../../tests/audit/defaults.ts'

const ROOT = resolve(import.meta.dirname, '../..')
/** Debian 12's packages. */
const DEBIAN =
  'requests httpx aiohttp urllib3 httplib2 boto3 elasticsearch twilio stripe psycopg2 psycopg psycopg-pool asyncpg redis pymysql mysqldb aiomysql pymongo sqlalchemy pika aio-pika grpcio kafka confluent-kafka celery websocket'
    .split(' ')
    .map((name) => `python3-${name}`)
    .join(' ')
const seconds = Number(process.argv[2] ?? 35)
if (!mayMeasure('javascript'))
  spawnSync('npm', ['ci', '--loglevel=error'], { cwd: join(ROOT, 'bench/libraries'), stdio: 'inherit' })
const rows = [
  ...(await measure('javascript', seconds)),
  ...(mayMeasure('python') ? await measure('python', seconds) : []),
].filter(({ outcome }) => outcome !== 'missing')
const judged = rows.map((row) => ({ row, verdict: verdictOf(row, seconds * 1000) }))
const packages = Map.groupBy(judged, ({ row }) => `${row.package} ${row.version}`)

function lasting(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`
}

/** How long of a wait: what was read from the library is nearer to what it means than what was waited. */
function cell(rowsOf: readonly Row[], whats: readonly string[]): string {
  const own = rowsOf.filter(({ what }) => whats.includes(what))
  const read = own.find(({ outcome, value }) => outcome === 'read' && typeof value === 'number')
  if (read !== undefined) return `${lasting(read.value ?? 0)} (set)`
  const [first] = own
  if (first === undefined) return ''
  if (first.outcome === 'pending') return `none in ${seconds} s`
  return first.outcome === 'threw'
    ? (first.ms ?? 0) < 100
      ? 'refuses at once'
      : lasting(first.ms ?? 0)
    : first.outcome
}

function number(rowsOf: readonly Row[], what: string): string {
  const row = rowsOf.find((each) => each.what === what)
  if (row?.outcome === 'pending') return `> ${seconds} s`
  // Two thousand million connections are no bound.
  return row?.value === null || row?.value === undefined || row.value > 1_000_000 ? '' : `${row.value}`
}

function verdictsOf(own: readonly { readonly row: Row; readonly verdict: Verdict }[]): string {
  const wrong = own.filter(({ verdict }) => verdict === 'differs').map(({ row }) => row.what)
  if (wrong.length > 0) return `DIFFERS: ${wrong.join(', ')}`
  return own.some(({ verdict }) => verdict === 'as said') ? 'as said' : 'no entry'
}

const waits = [...packages].flatMap(([name, all]) => {
  const own = all.filter(({ row }) => row.what !== 'unheard')
  if (own.length === 0) return []
  const each = own.map(({ row }) => row)
  const refusal = each.find(({ what }) => what === 'refusal')?.outcome
  const ignored = each.some(({ what, outcome }) => what.startsWith('late') && outcome === 'pending')
  const cells = [
    name.startsWith('python ') || name.startsWith('node ')
      ? `${name} (${[...new Set(each.map(({ library }) => library))].join(', ')})`
      : name,
    cell(each, ['connect', 'default_connect']),
    cell(each, ['answer', 'default', 'publish', 'buffered']),
    cell(each, ['pool', 'default_pool']),
    number(each, 'size'),
    number(each, 'retries'),
    refusal === undefined ? '' : refusal === 'threw' ? 'throws' : refusal === 'answered' ? 'answers' : 'retried',
    `${verdictsOf(own)}${ignored ? '; an option that does not end it' : ''}`,
  ]
  return [`| ${cells.join(' | ')} |`]
})

const emitters = judged
  .filter(({ row }) => row.what === 'unheard')
  .sort((a, b) => a.row.package.localeCompare(b.row.package))
  .map(({ row, verdict }) => {
    const [make = ''] =
      /(?:createConnection|createPool|createClient|connect|createTransport|createProxyServer|new [\w.]+|postgres|knex|get|io)\(/.exec(
        row.text?.replace(/^import.*$/gm, '') ?? '',
      ) ?? []
    const isPromise = /\/promise'/.test(row.text ?? '') ? ' (promise)' : ''
    return `| ${row.package} ${row.version} | ${make}…)${isPromise} | ${row.when} | ${row.outcome} | ${verdict} |`
  })

function isMeasured(library: Library): boolean {
  return rows.some((row) => row.language === library.language && row.library === library.name)
}

/** Their far ends are in `packages/audit/src/knowledge/knowledge.test.ts`. */
const IN_TESTS = new Set(['@grpc/grpc-js'])
const unmeasured = LIBRARIES.filter((library) => !isMeasured(library) && !IN_TESTS.has(library.name)).map(
  ({ name, language }) => `${name} (${language === 'python' ? 'Python' : 'npm'})`,
)
const differing = judged.filter(({ verdict }) => verdict === 'differs').length
const text = `# The auditor: what libraries do when nobody says

Verdict: **${differing === 0 ? 'AS SAID' : `${differing} DIFFER`}**. Written by \`node bench/audit/defaults.ts ${seconds}\` on ${new Date().toISOString().slice(0, 10)} (Node ${process.versions.node}): ${rows.length} things of ${packages.size} packages, each waited for ${seconds} s against
a far end on loopback that accepts and says nothing, whose queue is full (connecting), that greets as a database or broker does and then says nothing, or that answers 500.
\`(set)\` was read from the library's own objects. "None in ${seconds} s" with nothing set is what the auditor calls none. \`tests/audit/knowledge.test.ts\` compares again, for as
long as a test may take, wherever the libraries are: npm's in \`bench/libraries\` (installed by the command), Python's from Debian (\`apt-get install --no-install-recommends\`
with ${DEBIAN}).

| package | connecting | an answer | a full pool | pool | retries | a 500 | the knowledge base |
|---|---|---|---|---|---|---|---|
${waits.join('\n')}

What the numbers do not say: PyMySQL and aiomysql bound TCP only (a server that accepts and does not greet is waited for, whatever \`connect_timeout\` says); the
\`timeout\` of node:http and of a chained \`setTimeout(ms)\` only has an event emitted; node-fetch 3, fetch and needle (which means connecting) don't end by \`timeout\`; the S3 client's
\`requestTimeout\` only warns unless \`throwOnRequestTimeout\` is set; amqplib's \`timeout\` is for connecting only; supabase-js and resend answer a 500 as \`{ error }\`.
Older versions were asked for their defaults too: twilio 3 and 4 (30 s), stripe 12 and 13 (80 s; 0 and 1 retries), @slack/web-api 6 (none).

## Emitters without a listener for \`error\`

Programs of their own; what ends here is what \`unhandled-error-event\` finds in their text, and what stays it does not.

| package | made by | when | the process | the auditor |
|---|---|---|---|---|
${emitters.join('\n')}

mqtt 4.3 and 5.0, which listen themselves, and redis 4 and 5, which end, were run likewise by hand. \`spawn\` of a program that is not there ends the process too, and is
not found: whether it is there does not change while a service runs.

## From documentation only

${unmeasured.join(', ')}. AIOKafka and opensearch-py share an entry with what was measured; @grpc/grpc-js and mongodb are
measured in \`packages/audit/src/knowledge/knowledge.test.ts\`.
`
writeFileSync(join(ROOT, 'docs/proof/audit-knowledge.md'), text)
for (const { row, verdict } of judged) if (verdict === 'differs') console.log('DIFFERS', JSON.stringify(row))
console.log(`${rows.length} rows, ${differing} differ`)
process.exit(differing === 0 ? 0 : 1)
