// The auditor as its users run it: a process of its own, measured from outside.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Spot } from '../../tests/audit/corpus.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'packages', 'audit', 'src', 'main.ts')
const LOOK_EVERY_MS = 20

export interface Run {
  readonly spots: readonly Spot[]
  readonly wallMs: number
  /** The most that was resident, MB. */
  readonly peakMb: number
}

/** Audits a folder. `cache`: a folder for what is kept between runs; undefined: nothing is kept. */
export async function audit(target: string, cache?: string): Promise<Run> {
  const kept = cache === undefined ? ['--no-cache'] : ['--cache', cache]
  const startedMs = performance.now()
  const child = spawn(process.execPath, [MAIN, target, '--format', 'json', ...kept], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let peakMb = 0
  const looking = setInterval(() => {
    peakMb = Math.max(peakMb, peakOf(child.pid))
  }, LOOK_EVERY_MS)
  const chunks: Buffer[] = []
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer)
  const code = await new Promise((resolve) => {
    if (child.exitCode !== null) resolve(child.exitCode)
    else child.once('exit', resolve)
  })
  clearInterval(looking)
  const wallMs = performance.now() - startedMs
  if (code !== 0 && code !== 1) throw new Error(`the audit of ${target} ended with ${code}`)
  return { spots: spotsOf(Buffer.concat(chunks).toString('utf8')), wallMs, peakMb }
}

function peakOf(pid: number | undefined): number {
  try {
    const kb = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(kb ?? 0) / 1024
  } catch {
    return 0 // it ended while we looked
  }
}

interface Report {
  readonly findings: readonly {
    readonly rule: string
    readonly tier: string
    readonly evidence: readonly {
      readonly loc?: { readonly file: string; readonly line: number; readonly endLine: number } | null
    }[]
  }[]
}

function spotsOf(json: string): readonly Spot[] {
  const { findings } = JSON.parse(json) as Report
  return findings.flatMap(({ rule, tier, evidence }) =>
    evidence.flatMap(({ loc }) => (loc === undefined || loc === null ? [] : [{ rule, tier, ...loc }])),
  )
}
