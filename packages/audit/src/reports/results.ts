// Results of somebody's tests, from their file: JSON in the shapes that runners write (a list of tests with a name and a status anywhere near the top), or
// JUnit XML. What the file says of itself (its own totals) is not believed: everything is counted again.
//   RE15. A file without a list of tests is refused with AUDIT_RESULTS_INVALID; a test without a status that is known is `unknown`, never passed.

import { auditError } from '../codes.ts'

export const OUTCOMES = ['passed', 'failed', 'skipped', 'unknown'] as const
export type Outcome = (typeof OUTCOMES)[number]

export interface TestResult {
  readonly name: string
  readonly category: string
  readonly outcome: Outcome
  readonly durationMs: number | undefined
  /** What the test says about itself. */
  readonly says: string
}

const TESTS_MAX = 50_000
const DEPTH_MAX = 4
const TEXT_MAX = 500
const WORDS: readonly (readonly [words: RegExp, outcome: Outcome])[] = [
  [/^(pass(ed)?|ok|success(ful)?|succeeded|true)$/i, 'passed'],
  [/^(fail(ed|ure)?|error(ed)?|broken|timed?[_ ]?out|false)$/i, 'failed'],
  [/^(skip(ped)?|pending|todo|ignored|disabled|not[_ ]?run)$/i, 'skipped'],
]

/** RE15. `name`: of the file, for the message. */
export function parseResults(text: string, name: string): readonly TestResult[] {
  const tests = text.trimStart().startsWith('<') ? fromJunit(text) : fromJson(text, name)
  if (tests.length === 0)
    throw auditError('AUDIT_RESULTS_INVALID', `${name} has no list of tests with names and statuses`)
  return tests.slice(0, TESTS_MAX)
}

function fromJson(text: string, name: string): readonly TestResult[] {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    throw auditError('AUDIT_RESULTS_INVALID', `${name} is neither JSON nor XML`, { cause })
  }
  return longestList(body, 0).map(toResult)
}

type Fields = Readonly<Record<string, unknown>>

/** The longest list of things that have a name and a status: totals and summaries are shorter. */
function longestList(value: unknown, depth: number): readonly Fields[] {
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return []
  if (Array.isArray(value) && value.every(isTest)) return value
  let longest: readonly Fields[] = []
  for (const inner of Object.values(value)) {
    const list = longestList(inner, depth + 1)
    if (list.length > longest.length) longest = list
  }
  return longest
}

function isTest(value: unknown): value is Fields {
  return (
    typeof value === 'object' && value !== null && nameOf(value as Fields) !== '' && statusOf(value as Fields) !== ''
  )
}

function firstText(fields: Fields, names: readonly string[]): string {
  for (const name of names) {
    const value = fields[name]
    if (typeof value === 'string' && value !== '') return value.slice(0, TEXT_MAX)
    if (typeof value === 'boolean') return String(value)
  }
  return ''
}

const nameOf = (fields: Fields): string =>
  firstText(fields, ['test_name', 'testName', 'fullName', 'name', 'title', 'test', 'nodeid'])
const statusOf = (fields: Fields): string =>
  firstText(fields, ['status', 'outcome', 'result', 'state', 'passed', 'success'])

function toResult(fields: Fields): TestResult {
  const duration = ['duration_ms', 'durationMs', 'duration', 'time_ms']
    .map((key) => fields[key])
    .find((value) => typeof value === 'number')
  const says = ['details', 'message', 'error_message', 'errorMessage', 'error'].map((key) => fields[key])
  return {
    name: nameOf(fields),
    category: firstText(fields, ['category', 'suite', 'group', 'classname', 'file']) || 'all',
    outcome: outcomeOf(statusOf(fields)),
    durationMs: duration,
    says: says
      .filter((text) => typeof text === 'string')
      .join(' · ')
      .slice(0, TEXT_MAX),
  }
}

function outcomeOf(status: string): Outcome {
  return WORDS.find(([words]) => words.test(status.trim()))?.[1] ?? 'unknown'
}

/** Test cases by their tags: enough for what runners write, and nothing in it is looked up or expanded. */
function fromJunit(text: string): readonly TestResult[] {
  return text
    .split(/<testcase\b/)
    .slice(1, TESTS_MAX + 1)
    .map((part): TestResult => {
      const tag = part.slice(0, part.indexOf('>') + 1)
      const end = tag.endsWith('/>') ? tag.length : part.indexOf('</testcase>')
      const body = part.slice(tag.length, end === -1 ? undefined : end)
      const attribute = (name: string): string => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? ''
      const seconds = Number(attribute('time'))
      return {
        name: attribute('name').slice(0, TEXT_MAX) || 'unnamed',
        category: attribute('classname').slice(0, TEXT_MAX) || 'all',
        outcome: /<(failure|error)\b/.test(body) ? 'failed' : /<skipped\b/.test(body) ? 'skipped' : 'passed',
        durationMs: attribute('time') === '' || Number.isNaN(seconds) ? undefined : seconds * 1_000,
        says: (/message="([^"]*)"/.exec(body)?.[1] ?? '').slice(0, TEXT_MAX),
      }
    })
}
