// `ripstop graph`: what a running mesh consists of, what it promises and how it is doing.

import { parseArgs } from 'node:util'
import { createMeshClient } from './mesh-request.ts'
import { type CommandDoc, formatTable, type Terminal } from './terminal.ts'

/** The part of `GET /v1/mesh/graph` that is shown; wire names. */
interface WireGraph {
  readonly components: readonly { readonly name: string; readonly kind: string }[]
  readonly uses: readonly { readonly component: string; readonly link: string; readonly need: string }[]
  readonly links: readonly {
    readonly name: string
    readonly to: string
    readonly kind: string
    readonly target: string
    readonly guarantees: { readonly deadline_ms: number; readonly critical: boolean }
    readonly live: {
      readonly state: string
      readonly generation: number
      readonly last_proof_age_ms?: number | null
      readonly in_flight: number
      readonly breaker: string
    }
    readonly blast_radius: { readonly hard: readonly string[]; readonly soft: readonly string[] }
  }[]
}

export const graph: CommandDoc = {
  usage: 'graph [--json | --dot] [--url URL]',
  summary: 'components, links, guarantees and live state of a running mesh',
  run: async (terminal) => {
    const { values } = parseArgs({
      args: [...terminal.argv],
      options: { json: { type: 'boolean' }, dot: { type: 'boolean' }, url: { type: 'string' } },
    })
    const data = await createMeshClient(terminal, values.url).read<WireGraph>('/v1/mesh/graph')
    if (values.json === true) terminal.out(`${JSON.stringify(data, null, 2)}\n`)
    else if (values.dot === true) terminal.out(formatDot(data))
    else showTable(terminal, data)
    return 0
  },
}

function showTable(terminal: Terminal, data: WireGraph): void {
  const rows = data.links.map(({ name, target, live, guarantees, blast_radius: radius }) => [
    name,
    live.state,
    live.last_proof_age_ms == null ? 'never' : `${(live.last_proof_age_ms / 1000).toFixed(1)} s ago`,
    `#${live.generation}`,
    live.breaker,
    `${guarantees.deadline_ms} ms`,
    guarantees.critical ? 'critical' : '',
    target,
    [...radius.hard, ...radius.soft.map((component) => `(${component})`)].join(' '),
  ])
  const head = ['LINK', 'STATE', 'PROVED', 'GEN', 'BREAKER', 'DEADLINE', '', 'TARGET', 'TAKES DOWN (DEGRADES)']
  terminal.out(`${formatTable([head, ...rows])}\n`)
}

/** Graphviz: components as boxes, uses as arrows through their link, dashed where soft. */
function formatDot(data: WireGraph): string {
  const quote = (text: string): string => JSON.stringify(text)
  const leadsTo = new Map(data.links.map((link) => [link.name, link]))
  const lines = ['digraph mesh {', '  rankdir=LR', '  node [shape=box style=rounded fontname="sans-serif"]']
  for (const { name, kind } of data.components) lines.push(`  ${quote(name)} [label=${quote(`${name}\n${kind}`)}]`)
  for (const use of data.uses) {
    const link = leadsTo.get(use.link)
    if (link === undefined) continue
    const colour = link.live.state === 'up' ? 'darkgreen' : link.live.state === 'degraded' ? 'orange' : 'red'
    const style = use.need === 'hard' ? 'solid' : 'dashed'
    const label = quote(`${link.name}\n${link.live.state}`)
    lines.push(`  ${quote(use.component)} -> ${quote(link.to)} [label=${label} color=${colour} style=${style}]`)
  }
  return `${[...lines, '}'].join('\n')}\n`
}
