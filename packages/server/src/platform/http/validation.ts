// Validation. What a request holds, as its schemas see it. All problems are reported together, each with its field as the
// client wrote it; values are never shown, since they may be secrets.

import { RipstopError } from '@ripstop/kernel'
import type { FieldProblem } from '@ripstop/protocol'
import type { z } from 'zod'
import type { Route } from './route.ts'

const PROBLEMS_MAX = 50

export interface RequestParts {
  readonly body: unknown
  readonly query: unknown
  readonly params: unknown
}

/** The parsed parts. Throws BAD_REQUEST with every problem of every part. */
export function parseRequest(route: Route, raw: RequestParts): RequestParts {
  const problems: FieldProblem[] = []
  const part = (name: keyof RequestParts): unknown => {
    const schema = route[name]
    if (schema === undefined) return undefined
    const parsed = schema.safeParse(raw[name])
    if (parsed.success) return parsed.data
    for (const issue of parsed.error.issues) problems.push(...problemsOf(name, issue))
    return undefined
  }
  const params = part('params')
  const query = part('query')
  const body = part('body')
  if (problems.length === 0) return { params, query, body }
  const shown = problems.slice(0, PROBLEMS_MAX)
  throw new RipstopError('BAD_REQUEST', shown.map(({ field, problem }) => `${field} ${problem}`).join('; '), {
    details: { problems: shown },
  })
}

function problemsOf(part: string, issue: z.core.$ZodIssue): FieldProblem[] {
  const field = writeField([part, ...issue.path])
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ field: writeField([part, ...issue.path, key]), problem: 'is not known here' }))
  }
  if (issue.code === 'invalid_union') return [{ field, problem: 'fits none of the allowed forms' }]
  if (issue.code === 'invalid_type' && issue.input === undefined && issue.message.endsWith('received undefined')) {
    return [{ field, problem: 'is required' }]
  }
  return [{ field, problem: issue.message.replace(/^(Invalid input|Too small|Too big|Invalid \w+): /, '') }]
}

/** `body.scopes[1]`. Keys come from the client: they are cut, so that an answer stays small. */
function writeField(path: readonly PropertyKey[]): string {
  let written = ''
  for (const key of path) {
    if (typeof key === 'number') written += `[${key}]`
    else written += `${written === '' ? '' : '.'}${String(key).slice(0, 64)}`
  }
  return written
}
