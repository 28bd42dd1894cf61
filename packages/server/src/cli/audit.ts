// `ripstop audit`: the auditor under the name of the mesh. It reads its own arguments.
//   PK2. It is the same as `ripstop-audit`: arguments, reports and exit codes.

import type { CommandDoc } from './terminal.ts'

export const audit: CommandDoc = {
  usage: 'audit DIR | --mesh URL | diff A B | explain [RULE] | readiness RESULTS (ripstop audit --help)',
  summary: 'where a repository of services, or a running mesh, will fail, with file and line, and what mends it',
  run: async ({ argv, env, out, error, isWatched, columns }) => {
    // A parser and some hundred rules: not for those who only ask for help.
    const { createIo, runCommand } = await import('@ripstop/audit')
    return runCommand(argv, createIo({ program: 'ripstop audit', env, isWatched, columns, out, say: error }))
  },
}
