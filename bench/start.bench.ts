// How long from `ripstop up` to ready (the control API's database proved and migrated), and what an idle process weighs.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { childrenOf, commandOf, rssMb, scratch, startMesh } from './processes.ts'
import { median, report } from './statistics.ts'

const ROUNDS = 5

using folder = scratch()
const fresh: number[] = []
const warm: number[] = []
const rss = new Map<string, number[]>()

for (let round = 0; round < ROUNDS; round++) {
  rmSync(join(folder.path, 'state'), { recursive: true, force: true })
  fresh.push(await timeStart())
  warm.push(await timeStart())
}
report(
  'start',
  [
    {
      what: 'start to ready, fresh with initdb',
      figure: `${(median(fresh) / 1000).toFixed(2)} s`,
      asked: '<= 8 s',
      met: median(fresh) <= 8_000,
    },
    {
      what: 'start to ready, warm',
      figure: `${(median(warm) / 1000).toFixed(2)} s`,
      asked: '<= 2 s',
      met: median(warm) <= 2_000,
    },
    ...[...rss].map(([name, values]) => ({
      what: `idle RSS, ${name}`,
      figure: `${median(values).toFixed(0)} MB`,
      asked: '<= 120 MB',
      met: median(values) <= 120,
    })),
  ],
  [`medians of ${ROUNDS}; RSS 5 s after ready`],
)

async function timeStart(): Promise<number> {
  const startedMs = performance.now()
  await using mesh = await startMesh(folder.path, '{}\n', '/readyz')
  const tookMs = performance.now() - startedMs
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  remember('supervisor', mesh.pid)
  for (const pid of childrenOf(mesh.pid)) {
    const role = /process (\w+)/.exec(commandOf(pid))?.[1]
    if (role !== undefined) remember(role, pid)
  }
  return tookMs
}

function remember(name: string, pid: number): void {
  rss.set(name, [...(rss.get(name) ?? []), rssMb(pid)])
}
