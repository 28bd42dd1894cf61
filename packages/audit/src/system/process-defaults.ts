// Deadlines that hold for a whole process: `axios.defaults.timeout`, `socket.setdefaulttimeout`, a dispatcher that is set for all of undici.

import { UNWRITTEN } from '../facts/values.ts'
import type { Library } from '../knowledge/index.ts'
import type { CallSite, Program } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import type { Deadline } from './contract.ts'
import { fullName } from './names.ts'

export interface ProcessDefaults {
  of(library: Library): Deadline | undefined
}

const SETTERS: readonly (readonly [name: RegExp, libraries: RegExp])[] = [
  // Not for requests, which hands its own nothing down.
  [/^socket\.setdefaulttimeout$/, /^(?:python|http\.client|urllib3|smtplib)$/],
  [/^undici\.setGlobalDispatcher$/, /^(?:fetch|undici|graphql-request|ofetch|octokit)$/],
  [/^@sendgrid\/mail(?:\.\w+)?\.setTimeout$/, /^@sendgrid\/mail$/],
]

export function readProcessDefaults(repository: Repository, program: Program): ProcessDefaults {
  const found = new Map<string, Deadline>()
  const known: { readonly libraries: RegExp; readonly deadline: Deadline }[] = []
  for (const [path, facts] of repository.facts) {
    const concerns = facts.imports.some(({ module }) => /^(?:socket|undici|axios|@sendgrid\/mail)$/.test(module))
    const file = concerns ? program.file(path) : undefined
    if (file === undefined) continue
    for (const call of facts.calls) {
      if (!/setdefaulttimeout|setGlobalDispatcher|\.setTimeout$/.test(call.callee.text)) continue
      const name = fullName(file, call.callee)
      const setter = name === undefined ? undefined : SETTERS.find(([pattern]) => pattern.test(name))
      if (setter !== undefined) known.push({ libraries: setter[1], deadline: present({ file: path, call }) })
    }
    for (const { target, block, line, endLine } of facts.assignments) {
      if (!/\.defaults\.(?:timeout|signal)$/.test(target.text)) continue
      if (fullName(file, target)?.startsWith('axios.defaults.') !== true) continue
      const call = { ...UNWRITTEN, block, line, endLine, callee: target }
      found.set('axios', present({ file: path, call }))
    }
  }
  return { of: ({ name }) => found.get(name) ?? known.find(({ libraries }) => libraries.test(name))?.deadline }
}

function present(site: CallSite): Deadline {
  return { state: 'present', ms: undefined, site }
}
