import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { systemClock } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import type { FileFacts } from '../facts/facts.ts'
import { createFolder } from '../folder.fixture.ts'
import { walk } from '../repository/walk.ts'
import { writeCompact } from './compact.ts'
import { type KeptFacts, type ReadSources, readSources } from './read-sources.ts'
import { type Answer, readInThreads } from './threads.ts'

/** More than it takes for threads. */
const LARGE = Object.fromEntries(
  Array.from({ length: 30 }, (_, index) => [
    `src/${index}.ts`,
    `export const a${index} = f(${index}, 'text')\n`.repeat(1_300),
  ]),
)

function read(root: string, threads: number, kept?: KeptFacts): Promise<ReadSources> {
  return readSources(walk(root), { clock: systemClock, threads, kept, progress: () => {}, took: () => {} })
}

test('TH4: facts and their order are the same on one thread, on several, and from the cache', async () => {
  const root = createFolder({ ...LARGE, 'src/broken.ts': 'export const = 1\nf()\n', 'a.py': 'import b\nb.c()\n' })
  const kept = new Map<string, Uint8Array>()
  const cache: KeptFacts = {
    find: (file, hash) => kept.get(file + hash),
    keep: (file, hash, bytes) => void kept.set(file + hash, bytes),
  }
  const alone = await read(root, 1)
  for (const other of [await read(root, 3, cache), await read(root, 3, cache)]) {
    expect([...other.facts.keys()]).toEqual([...alone.facts.keys()])
    expect(other.facts.get('a.py')).toEqual(JSON.parse(JSON.stringify(alone.facts.get('a.py'))))
    expect([other.unread, other.hashes]).toEqual([alone.unread, alone.hashes])
  }
  expect(kept.size).toBe(32)
  expect(alone.unread).toEqual([{ path: 'src/broken.ts', why: 'broken syntax', detail: 'line 1' }])
})

test('TH4: what the cache gives and is not sound is read anew', async () => {
  const root = createFolder({ 'a.ts': 'f()\n' })
  const facts = (await read(root, 1)).facts
  const known = facts.get('a.ts') as FileFacts
  const [block] = known.blocks
  const unsound: readonly object[] = [
    { file: 'a.ts' },
    { ...known, file: 'b.ts' },
    { ...known, blocks: [{ ...block, parent: 0 }] },
    { ...known, blocks: [{ ...block, parent: 7 }] },
  ]
  for (const bytes of [new Uint8Array(3), new TextEncoder().encode('no facts'), ...unsound.map(writeCompact)]) {
    const again = await read(root, 1, { find: () => bytes, keep: () => {} })
    expect(again.facts).toEqual(facts)
  }
})

test('WA13: what is gone, or became a link or too large since it was listed, is told and not read', async () => {
  const root = createFolder({
    'gone.ts': 'f()',
    'link.ts': 'f()',
    'large.ts': 'f()',
    'b.ts': 'f()',
    'other.txt': 'g()',
  })
  const walked = walk(root)
  rmSync(join(root, 'gone.ts'))
  rmSync(join(root, 'link.ts'))
  symlinkSync(join(root, 'other.txt'), join(root, 'link.ts'))
  writeFileSync(join(root, 'large.ts'), 'f()\n'.repeat(600_000))
  const { facts, unread } = await readSources(walked, {
    clock: systemClock,
    threads: 1,
    kept: undefined,
    progress: () => {},
    took: () => {},
  })
  expect([...facts.keys()]).toEqual(['b.ts'])
  expect(unread.map(({ path, why }) => `${path} ${why}`)).toEqual([
    'gone.ts unreadable',
    'large.ts unreadable',
    'link.ts unreadable',
  ])
})

/** Threads that do as `program` says, which is handed `file` and may call `answer()`. */
async function onThreads(files: readonly string[], program: string, clock = systemClock) {
  const root = createFolder({
    'thread.mjs': `import { parentPort } from 'node:worker_threads'
parentPort.postMessage('ready')
const answer = () => parentPort.postMessage({ bytes: undefined, unread: undefined, hash: 'x', tookMs: 0 })
parentPort.on('message', (file) => { ${program} })`,
  })
  const answers = new Map<string, Answer[]>()
  const left = await readInThreads(files, {
    root,
    threads: 2,
    clock,
    program: pathToFileURL(join(root, 'thread.mjs')),
    onAnswer: (file, answer) => void answers.set(file, [...(answers.get(file) ?? []), answer]),
  })
  const told = [...answers].flatMap(([file, [answer]]) =>
    answer?.unread === undefined ? [] : [[file, answer.unread.detail]],
  )
  return { left, answers, told }
}

const FILES = Array.from({ length: 60 }, (_, index) => `${index}.ts`)

test.each([
  ['throws', "if (file === '7.ts') throw new Error('a defect'); answer()", 'a defect'],
  ['exits', "if (file === '7.ts') process.exit(3); answer()", 'the thread that read it ended'],
  [
    'takes all the memory',
    "if (file === '7.ts') { const all = []; for (;;) all.push(new Array(2e6).fill({})) } answer()",
    'reading it takes too much memory',
  ],
])(
  'TH1, TH2: a thread that %s costs the file that it had in hand, and every other is read once',
  async (_, program, why) => {
    const { answers, told, left } = await onThreads(FILES, program)
    expect(told).toEqual([['7.ts', why]])
    expect([answers.size, [...answers.values()].every(({ length }) => length === 1), left]).toEqual([60, true, []])
  },
)

test('TH1: a file that a thread sits on is given up after its time', async () => {
  const soon = { ...systemClock, schedule: (ms: number, fire: () => void) => systemClock.schedule(ms / 30, fire) }
  const { answers, told } = await onThreads(FILES, "if (file === '7.ts') for (;;); answer()", soon)
  expect([answers.size, told]).toEqual([60, [['7.ts', 'reading took longer than 20 s']]])
})

test('TH2: where every file kills its thread all are told, after a bounded number of threads', async () => {
  const { answers, told } = await onThreads(FILES, "throw new Error('again')")
  expect([answers.size, told.length]).toEqual([60, 60])
})

test('TH3: where no thread starts the files are given back', async () => {
  const root = createFolder({ 'a.ts': '' })
  const program = pathToFileURL(join(root, 'missing.mjs'))
  const answers: string[] = []
  const options = { root, threads: 2, clock: systemClock, program, onAnswer: (file: string) => void answers.push(file) }
  expect(new Set(await readInThreads(FILES, options))).toEqual(new Set(FILES))
  expect(answers).toEqual([])
})
