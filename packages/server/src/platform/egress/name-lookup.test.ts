import { createSocket } from 'node:dgram'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { createNameLookup } from './name-lookup.ts'
import { failure, send, startEgress, startPeer } from './testing.fixture.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

type Zone = Readonly<
  Record<
    string,
    | {
        readonly a?: readonly string[]
        readonly aaaa?: readonly string[]
        readonly rcode?: number
        readonly rcodeSix?: number
      }
    | 'silent'
  >
>

/** A name server over UDP that knows `zone`, and nothing of all else. */
async function startNameServer(zone: Zone): Promise<string> {
  const socket = createSocket('udp4', (query, { address, port }) => {
    const answer = answerOf(zone, query)
    if (answer !== undefined) socket.send(answer, port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  open.defer(() => void socket.close())
  return `127.0.0.1:${socket.address().port}`
}

function answerOf(zone: Zone, query: Buffer): Buffer | undefined {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const question = query.subarray(12, at + 5)
  const isSix = query.readUInt16BE(at + 1) === 28
  const known = zone[labels.join('.').toLowerCase()]
  if (known === 'silent') return undefined
  const addresses = (isSix ? known?.aaaa : known?.a) ?? []
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  head.writeUInt16BE(0x8180 | (known === undefined ? 3 : ((isSix ? known.rcodeSix : undefined) ?? known.rcode ?? 0)), 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(addresses.length, 6)
  const records = addresses.map((address) => {
    const data = Buffer.from(isSix ? sixBytes(address) : address.split('.').map(Number))
    const record = Buffer.from([0xc0, 12, 0, isSix ? 28 : 1, 0, 1, 0, 0, 0, 0, 0, data.length])
    return Buffer.concat([record, data])
  })
  return Buffer.concat([head, question, ...records])
}

const sixBytes = (address: string): number[] => {
  const [left = '', right = ''] = address.split('::')
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16))
  const gap = 8 - words(left).length - words(right).length
  return [...words(left), ...Array<number>(gap).fill(0), ...words(right)].flatMap((word) => [word >> 8, word & 255])
}

function look(lookup: ReturnType<typeof createNameLookup>, name: string): Promise<readonly LookupAddress[] | string> {
  return new Promise((resolve) => {
    lookup(name, { all: true, family: 0, hints: 0, verbatim: true }, (error, addresses) =>
      resolve(error === null ? addresses : String(error.code)),
    )
  })
}

test('EG11: both families come, one is enough, and only what the servers deny is not found', async () => {
  const servers = [
    await startNameServer({
      'both.example': { a: ['192.0.2.1', '192.0.2.2'], aaaa: ['2001:db8::1'] },
      'six.example': { aaaa: ['2001:db8::2'] },
      'none.example': {},
      'broken.example': { rcode: 2 },
      'half.example': { rcodeSix: 2 },
      'refused.example': { rcode: 5 },
      'silent.example': 'silent',
    }),
  ]
  const lookup = createNameLookup({ system: false, timeoutMs: 100, servers })
  expect(await look(lookup, 'both.example')).toEqual([
    { address: '192.0.2.1', family: 4 },
    { address: '192.0.2.2', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ])
  expect(await look(lookup, 'six.example')).toEqual([{ address: '2001:db8::2', family: 6 }])
  for (const name of ['missing.example', 'none.example']) expect(await look(lookup, name), name).toBe('ENOTFOUND')
  for (const name of ['broken.example', 'half.example', 'refused.example', 'silent.example'])
    expect(await look(lookup, name), name).toBe('EAI_AGAIN')
  const noServer = createNameLookup({ system: false, timeoutMs: 100, servers: ['127.0.0.1:9'] })
  expect(await look(noServer, 'both.example')).toBe('EAI_AGAIN')
})

test('EG10: names whose servers are silent hold up no other name', async () => {
  const names = Array.from({ length: 40 }, (_, index) => `silent-${index}.example`)
  const zone: Zone = {
    ...Object.fromEntries(names.map((name) => [name, 'silent'])),
    'fine.example': { a: ['192.0.2.1'] },
  }
  const lookup = createNameLookup({ system: false, timeoutMs: 1_000, servers: [await startNameServer(zone)] })
  let ended = 0
  const silent = names.map(async (name) => {
    const found = await look(lookup, name)
    ended++
    return found
  })
  expect(await look(lookup, 'fine.example')).toEqual([{ address: '192.0.2.1', family: 4 }])
  expect(ended).toBe(0)
  expect(new Set(await Promise.all(silent))).toEqual(new Set(['EAI_AGAIN']))
})

test('localhost is asked of nobody; the system is asked for what the servers do not know, if it may be', async () => {
  const servers = [await startNameServer({})]
  const lookup = createNameLookup({ system: true, timeoutMs: 200, servers })
  for (const name of ['localhost', 'a.localhost', 'LOCALHOST.'])
    expect(await look(lookup, name)).toEqual([
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ])
  expect(await look(lookup, 'surely-not-there.invalid')).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/) // the system's own answer
})

test('EG3: a name server that says what is inside leads nowhere', async () => {
  const peer = await startPeer(open)
  const zone: Zone = {
    'inside.example': { a: ['127.0.0.1', '169.254.169.254'], aaaa: ['::1'] },
    'gone.example': 'silent',
  }
  const lookup = createNameLookup({ system: false, timeoutMs: 100, servers: [await startNameServer(zone)] })
  const to = (name: string) => new URL(`http://${name}:${peer.port}/`)
  const closed = startEgress(open, { allow: [], lookup })
  expect(await failure(send(closed, to('inside.example')))).toMatchObject({ code: 'EGRESS_REFUSED', sent: 'no' })
  expect(await failure(send(closed, to('gone.example')))).toEqual({
    code: 'LINK_DOWN',
    sent: 'no',
    details: { cause: 'EAI_AGAIN' },
  })
  expect(await failure(send(closed, to('missing.example')))).toMatchObject({
    code: 'LINK_DOWN',
    details: { cause: 'ENOTFOUND' },
  })
  expect(peer.sockets).toEqual([])
  expect((await send(startEgress(open, { lookup }), to('inside.example'))).status).toBe(200)
})
